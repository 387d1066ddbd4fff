"""The demo's folder: whose it is, how far the demo came, and how it is cleared.

A marker is written before the lake and says how far the demo has come. What does not carry it is somebody else's and
is never written to, and clearing removes nothing that the demo does not make.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from lakepart.errors import AlreadyExistsError, ErrorCode, StorageError
from lakepart.model.plans import list_some

MARKER = "lakepart-demo.json"
ASSETS = frozenset({"flights", "daily_delays"})
_NEW_MARKER = f"{MARKER}.new"
_OWN = frozenset({MARKER, _NEW_MARKER, "_lakepart", "hot", "cold"})
_CATALOG = "catalog.db"  # and what SQLite puts beside it


class DemoState(StrEnum):
    """What is in the folder."""

    NOTHING = "nothing"
    BEGUN = "begun"
    FINISHED = "finished"
    CLEARING = "clearing"  # it may be half gone


def examine(path: Path) -> DemoState:
    """Say how far a demo has come there.

    Raises
    ------
    AlreadyExistsError
        Something else is there.
    """
    with _translated(path):
        if not path.exists() and not path.is_symlink():
            return DemoState.NOTHING
        if not path.is_dir():
            raise _something_else(path, "it is not a folder")
        names = sorted(entry.name for entry in path.iterdir())
        if not set(names) - {_NEW_MARKER}:
            return DemoState.NOTHING
        if MARKER not in names:
            raise _something_else(path, f"it holds {list_some(names)}")
        try:
            return DemoState(json.loads((path / MARKER).read_text(encoding="utf-8"))["state"])
        except (ValueError, LookupError, TypeError) as error:
            raise _something_else(path, f"its {MARKER} is not the demo's") from error


def mark(path: Path, state: DemoState) -> None:
    """Note that the folder is the demo's, and how far the demo has come."""
    with _translated(path):
        path.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"made_by": "lakepart demo", "state": state.value})
        (path / _NEW_MARKER).write_text(text, encoding="utf-8")
        (path / _NEW_MARKER).replace(path / MARKER)


def clear(path: Path) -> None:
    """Remove what a demo made, its marker last.

    Raises
    ------
    AlreadyExistsError
        There is anything else: nothing is removed then.
    """
    with _translated(path):
        foreign = [entry for entry in path.iterdir() if not _is_own(entry.name)]
        tiers = [path / "hot", path / "cold"]
        foreign += [entry for tier in tiers if tier.is_dir() for entry in tier.iterdir() if entry.name not in ASSETS]
        if foreign:
            named = list_some(str(entry.relative_to(path)) for entry in sorted(foreign))
            raise AlreadyExistsError(
                f"{str(path)!r} holds what the demo did not make: {named}. Nothing was removed.",
                hint="move it elsewhere, or run the demo in another folder.",
            )
        mark(path, DemoState.CLEARING)
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name == MARKER):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith(_CATALOG)


def _something_else(path: Path, what: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{str(path)!r} is not a lake that the demo made: {what}. The demo leaves it alone.",
        hint="name another folder, lakepart demo ./another-lake",
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} cannot be used: {os.strerror(error.errno) if error.errno else error}.",
            hint="choose a folder you may write to.",
            code=ErrorCode.PERMISSION,
        ) from error
