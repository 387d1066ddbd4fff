"""Rows that are no longer as their commit left them, though nobody changes them: what a damaged database says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from lakepart.catalog.encoding import from_json, to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import file, snapshot, version
from lakepart.model.batches import in_batches

_AT_ONCE = 500
_KEYS = {"snapshot": snapshot.c.snapshot, "version": version.c.version_id, "file": file.c.file_id}
_IN_JSON = {"metadata", "statistics"}  # as text they may differ in spaces
_LATER = {"stale_mark"}  # is said of a version by hand, after its commit; so is "ended" by another commit, but once


def find_altered(connection: Connection, records: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give ``(what, sentence)`` of rows that say something else than the records of their commits.

    Rows that are gone are not told of: vacuum may have forgotten them.

    Notes
    -----
    One query for five hundred records.
    """
    told = ((what, value) for what, value in records if what in _KEYS)
    for some in in_batches(told, _AT_ONCE):
        for what, key in _KEYS.items():
            said = {value[key.name]: value for kind, value in some if kind == what}
            if not said:
                continue
            asked = select(key.table).where(in_json(key, "ids"))
            for row in connection.execute(asked, {"ids": to_json(list(said))}).mappings():
                yield from _differences(what, row[key.name], row, said[row[key.name]])


def _differences(what: str, number: int, row: Mapping[Any, Any], said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    not_yet = {"ended"} if said.get("ended") is None else set()
    for name in sorted((row.keys() & said.keys()) - _LATER - not_yet):
        found, expected = (to_json(from_json(one)) if name in _IN_JSON else one for one in (row[name], said[name]))
        if found != expected:
            text = f"The catalog has {name} {found!r} of {what} {number}, and its manifest {expected!r}."
            yield f"{what} {number}", text
