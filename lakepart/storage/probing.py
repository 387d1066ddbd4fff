"""Trying out a store: whether it takes, gives back and deletes bytes, and whether it refuses to overwrite them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from lakepart.errors import AlreadyExistsError, LakepartError
from lakepart.model.diagnoses import NOTICE, OK, PROBLEM, Diagnosis
from lakepart.model.plans import format_bytes
from lakepart.storage.base import Store

_LITTLE_ROOM = 1_000_000_000
_NO_ROOM = 64_000_000
_SKEW = timedelta(seconds=60)  # stores stamp objects with seconds, and answer after a while


def overwrites(store: Store, path: str) -> bool:
    """Try out whether a store overwrites what is there when it is asked to create; ``path`` is nobody else's.

    Nothing stays. In S3 that is two PUTs, two HEADs and a DELETE; what fails is raised as the store's own error.
    """
    store.put_new(path, b"probe")
    try:
        store.put_new(path, b"other bytes")
    except AlreadyExistsError:
        return False
    finally:
        with suppress(LakepartError):  # what is left of it, check names
            store.delete(path)
    return True


def probe_store(
    store: Store, subject: str, path: str, now: datetime, *, writing: bool, storage_class: str | None = None
) -> list[Diagnosis]:
    """Try out what lakepart needs of a store, and say what is missing; nothing stays.

    Parameters
    ----------
    store, subject
        What is tried out, and how it is called in what is said of it.
    path
        Nobody else's; what is tried out is done there.
    now
        The time of this machine.
    writing
        Whether the caller means to write there. Otherwise nothing is.
    storage_class
        That new objects are to have.
    """
    from lakepart.storage.s3 import S3Store
    from lakepart.storage.s3_probing import S3Probe

    if isinstance(store, S3Store):
        probe = S3Probe(store._bucket, subject, path, storage_class)
        return probe.write(now) if writing else probe.read()
    if not writing:
        return [Diagnosis(subject, OK, "Not tried out by writing, since the handle is read-only.")]
    return list(_try_out(store, subject, path, now))


def _try_out(store: Store, subject: str, path: str, now: datetime) -> Iterator[Diagnosis]:
    """Write a small object, try to overwrite it, read it back and delete it."""
    try:
        store.put_new(path, b"probe")
        stored = store.stat(path)
        try:
            yield from _judge(store, subject, path)
        finally:
            with suppress(LakepartError):  # what is left of it, check names
                store.delete(path)
        if store.stat(path) is not None:
            yield Diagnosis(
                subject, PROBLEM, f"{path!r} was written and cannot be deleted.", "vacuum needs that right."
            )
    except LakepartError as error:
        yield Diagnosis(subject, PROBLEM, error.message, error.hint)
        return
    if stored is not None:
        yield from judge_clock(subject, stored.modified_at, now)


def overwriting(subject: str, what: str) -> Diagnosis:
    """Say that a store overwrites: where the lake's own folder is, that can lose commits."""
    text = f"{what} overwrites what is there although it is asked to create"
    if subject == "lake":
        hint = "use a store that keeps conditional writes (If-None-Match), or a newer release of it."
        return Diagnosis(subject, PROBLEM, f"{text}: two lakes may be made in one place.", hint)
    return Diagnosis(subject, NOTICE, f"{text}; names of data files are unique, so that none is lost by it.")


def judge_clock(subject: str, theirs: datetime, ours: datetime) -> Iterator[Diagnosis]:
    """Say where a store's clock and this machine's differ."""
    skew = theirs - ours
    if abs(skew) > _SKEW:
        yield Diagnosis(
            subject,
            NOTICE,
            f"Its clock differs from this machine's by {skew.total_seconds():+.0f} s.",
            "set the clocks by NTP: vacuum compares both.",
        )


def _judge(store: Store, subject: str, path: str) -> Iterator[Diagnosis]:
    try:
        store.put_new(path, b"other bytes")
    except AlreadyExistsError:
        pass
    else:
        yield overwriting(subject, "It")
        return
    if store.read_bytes(path) != b"probe":
        yield Diagnosis(subject, PROBLEM, "What was written is read back as other bytes.", "mistrust this store.")
        return
    yield Diagnosis(subject, OK, "Writes, creates only where nothing is, reads back and deletes.")


def disk_room(place: str, subject: str) -> Diagnosis | None:
    """Say how much room there is where a local path lies; None where the system does not say."""
    folder = Path(place)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    severity = PROBLEM if free < _NO_ROOM else NOTICE if free < _LITTLE_ROOM else OK
    hint = None if severity == OK else "make room: a write that finds none is undone."
    return Diagnosis(subject, severity, f"{format_bytes(free)} free on its disk.", hint)
