"""Offline data: files whose bytes must be restored first, found by a look at each before a byte is asked for.

The catalog knows which tiers are offline, but not which of their files have been restored, so those are looked at
(a HEAD each, side by side); files of other tiers are not. Where somebody else archived a file, a read is refused by
the store, and one look at it then says what the error needs to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from lakepart.errors import OfflineDataError
from lakepart.model.archives import AvailabilityState, format_hours, hours_by_speed
from lakepart.model.plans import MoveFile, count_of, format_bytes, list_some
from lakepart.model.records import DataFile
from lakepart.storage.base import Store, StoredObject

Stores = Mapping[str, Store]
File = DataFile | MoveFile

_THREADS = 32  # they wait for the network


@dataclass(frozen=True, slots=True)
class Located:
    """A file of a partition, and what its store said of it; None where there is no such object."""

    key: str
    file: File
    stored: StoredObject | None

    @property
    def is_readable(self) -> bool:
        """Whether a read would be answered; what nobody knows, or what is not there, the read itself finds out."""
        found = None if self.stored is None else self.stored.availability
        return found is None or found.is_readable

    @property
    def said(self) -> str | None:
        """The availability in words, None where nobody knows."""
        if self.stored is None:
            return "missing"
        return None if self.stored.availability is None else str(self.stored.availability)


def look_at(stores: Stores, files: Iterable[tuple[str, File]]) -> list[Located]:
    """Ask for each file, given with its partition's key, whether its bytes can be had; a request each, side by side."""

    def look(one: tuple[str, File]) -> Located:
        key, file = one
        return Located(key, file, stores[file.tier].stat(file.path))

    wanted = list(files)
    if not wanted:
        return []
    with ThreadPoolExecutor(min(_THREADS, len(wanted)), thread_name_prefix="lakepart-look") as pool:
        return list(pool.map(look, wanted))


def require_readable(stores: Stores, asset: str, files: Iterable[tuple[str, File]], instead: str) -> None:
    """Look at files and refuse to go on where one cannot be read.

    Parameters
    ----------
    stores
        By tier.
    asset
        Whose files they are.
    files
        With the keys of their partitions.
    instead
        What else can be done, as the end of the hint.

    Raises
    ------
    OfflineDataError
        Naming all partitions with files that cannot be read.
    """
    offline = [one for one in look_at(stores, files) if not one.is_readable]
    if offline:
        raise offline_error(asset, offline, instead)


def offline_error(asset: str, files: Sequence[Located], instead: str) -> OfflineDataError:
    """Give the error that names the partitions of offline files, their bytes, and how long restoring them takes."""
    keys = _keys(files)
    running = _keys([one for one in files if _state(one) is AvailabilityState.RESTORING])
    size_bytes = sum(one.file.size_bytes for one in files)
    tiers = list(dict.fromkeys(one.file.tier for one in files))
    classes = list(dict.fromkeys(one.stored.storage_class or "" for one in files if one.stored))
    hours = hours_by_speed(_archive(one) or "" for one in files)
    where = f"{', '.join(tiers)}{f' ({list_some(classes)})' if any(classes) else ''}"
    restoring = f" Being restored already: {list_some(running)}." if running else ""
    times = " or ".join(f"{format_hours(time)} ({speed})" for speed, time in hours.items())
    return OfflineDataError(
        f"{count_of(len(keys), 'partition')} of {asset!r} cannot be read, because {count_of(len(files), 'file')} "
        f"({format_bytes(size_bytes)}) on {where} must be restored first: {list_some(keys)}.{restoring}",
        hint=f"restore() makes them readable for some days{f', after at most {times}' if times else ''}; {instead}.",
        context={
            "asset": asset,
            "partitions": keys,
            "restoring": running,
            "tiers": tiers,
            "files": len(files),
            "bytes": size_bytes,
            "restore_hours": hours,
        },
    )


@contextmanager
def naming_partitions(stores: Stores, asset: str, files: Sequence[tuple[str, DataFile]]) -> Iterator[None]:
    """Let an error about an archived file name its partition: somebody archived it, and the catalog did not know."""
    try:
        yield
    except OfflineDataError as error:
        place = str(error.context.get("path", ""))
        found = [(key, file) for key, file in files if place.endswith(f"/{file.path}")]
        if not found or "partitions" in error.context:
            raise
        raise offline_error(
            asset, look_at(stores, found), "others may be offline, too: files(availability=True) tells"
        ) from error


def _keys(files: Iterable[Located]) -> list[str]:
    return list(dict.fromkeys(one.key for one in files))


def _state(one: Located) -> AvailabilityState | None:
    found = None if one.stored is None else one.stored.availability
    return None if found is None else found.state


def _archive(one: Located) -> str | None:
    found = None if one.stored is None else one.stored.availability
    return None if found is None else found.archive
