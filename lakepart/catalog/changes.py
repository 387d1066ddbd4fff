"""The rows that a commit's changes become: versions that end, versions that begin, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from lakepart.catalog.encoding import to_json
from lakepart.catalog.guards import Current, Shown, require_files
from lakepart.catalog.scopes import in_json
from lakepart.catalog.statements import Statement, insert_into
from lakepart.catalog.tables import BIG, asset, copy, file, version, version_file, version_input
from lakepart.errors import AssetNotFoundError, InvalidInputError, StateError, did_you_mean
from lakepart.model.catalog_records import CopyState
from lakepart.model.contents import content_id_of
from lakepart.model.records import MAIN_BRANCH_ID, Anything, BranchRecord, Change, ChangeKind, InputRecord, NewFile


class Moment(NamedTuple):
    """Where and when a commit takes place, and the schema its new files have, by asset id."""

    branch: BranchRecord
    snapshot: int
    at_us: int
    schema_ids: Mapping[int, int | None]


class KeptFile(NamedTuple):
    """A file of a version that another one takes over, as far as a commit needs to know it."""

    file_id: int
    data_digest: str
    row_count: int
    size_bytes: int


class Totals(NamedTuple):
    """What a commit put into effect: new files, and the content of reinstated versions."""

    partitions: int
    rows: int
    bytes: int
    files: int


def count_new(changes: Iterable[Change], branch_id: int) -> tuple[int, int]:
    """Count the versions and the files that changes on a branch bring: how many ids :func:`write_changes` needs."""
    versions = files = 0
    for change in changes:
        versions += change.kind is not ChangeKind.REMOVE or branch_id != MAIN_BRANCH_ID
        files += len(change.files) + sum(new is not None for new in change.rewrites.values())
    return versions, files


def write_changes(
    connection: Connection, moment: Moment, changes: Sequence[Change], current: Current, *, next_ids: tuple[int, int]
) -> Totals:
    """End the old versions and insert the new ones; ``next_ids`` are the first of versions and of files."""
    next_version_id, next_file_id = next_ids
    kept = kept_files(connection, _taken_over(changes, current))
    held = {version_id: {one.file_id for one in files} for version_id, files in kept.items()}
    require_files(connection, moment.branch, changes, current, held)
    rows = _Rows(
        moment,
        next_version_id,
        next_file_id,
        input_ids=_input_ids(connection, changes),
        sources=_sources(connection, changes),
        kept=kept,
    )
    for change in changes:
        rows.add(change, current.get((change.asset_id, change.ordinal)))
    rows.insert(connection)
    return Totals(len(changes), rows.row_count, rows.size_bytes, rows.file_count)


@dataclass(slots=True)
class _Rows:
    """Collects rows by table, so that each table is written at once."""

    moment: Moment
    next_version_id: int
    next_file_id: int
    input_ids: Mapping[str, int]
    sources: Mapping[int, Shown]
    kept: Mapping[int, list[KeptFile]]
    row_count: int = 0
    size_bytes: int = 0
    file_count: int = 0
    ended: list[dict[str, int]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    copies: list[dict[str, Any]] = field(default_factory=list)
    version_files: list[dict[str, int]] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    files_from: list[dict[str, int]] = field(default_factory=list)  # new versions that take over an old one's
    inputs_from: list[dict[str, int]] = field(default_factory=list)

    def add(self, change: Change, shown: Shown | None) -> None:
        """Note what becomes of one partition that shows ``shown`` now."""
        on_main = self.moment.branch.branch_id == MAIN_BRANCH_ID
        own = shown is not None and shown.branch_id == self.moment.branch.branch_id
        if shown is not None and own:
            self.ended.append({"ending": shown.version_id, "at": self.moment.snapshot})
        if change.kind is ChangeKind.REMOVE:
            if on_main:
                return
            content = _content(None)
            content["written_at_us"] = self.moment.at_us
        elif change.kind is ChangeKind.REINSTATE:
            content = self._reinstate(change)
        elif change.kind is ChangeKind.COMPACT and shown is not None:
            content = self._compact(change, shown)
        else:
            content = self._write(change, shown if change.kind in _TAKING_OVER else None)
        self.versions.append(
            {
                "version_id": self.next_version_id,
                "asset_id": change.asset_id,
                "branch_id": self.moment.branch.branch_id,
                "key": change.key,
                "ordinal": change.ordinal,
                "base_content_id": None if on_main else _base(change, shown, own=own),
                "began": self.moment.snapshot,
                **content,
            }
        )
        self.next_version_id += 1

    def insert(self, connection: Connection) -> None:
        """Write everything noted; parents before children, because foreign keys are checked at once."""
        if self.ended:
            _END.run(connection, *self.ended)
        inserts = (
            (_VERSION, self.versions),
            (_FILE, self.files),
            (_COPY, self.copies),
            (_VERSION_FILE, self.version_files),
            (_VERSION_INPUT, self.inputs),
        )
        for statement, rows in inserts:
            if rows:
                statement.run(connection, *rows)
        if self.files_from:
            _FILES_FROM.run(connection, *self.files_from)
        if self.inputs_from:
            _INPUTS_FROM.run(connection, *self.inputs_from)

    def _reinstate(self, change: Change) -> dict[str, Any]:
        source = _source_of(change, self.sources)
        self._take_over(source, inputs=True)
        self.row_count += source.row_count
        self.size_bytes += source.size_bytes
        self.file_count += source.file_count
        return _content(source)

    def _compact(self, change: Change, shown: Shown) -> dict[str, Any]:
        """Keep everything that is said of a version but its files: rows that nobody changed make nothing stale."""
        content = _content(shown)
        self._take_over(shown, files=False, inputs=True)
        self._rewrite(change, self.kept.get(shown.version_id, []), content)
        return content

    def _write(self, change: Change, kept: Shown | None) -> dict[str, Any]:
        content = _content(kept)
        digests = []
        if kept is not None and kept.content_id is not None:
            files = self.kept.get(kept.version_id, [])
            self._take_over(kept, files=not change.rewrites, inputs=not change.inputs)  # what was read for them counts
            rewriting = bool(change.rewrites)
            digests = self._rewrite(change, files, content) if rewriting else [one.data_digest for one in files]
        for new in change.files:
            self._add_file(change, new, position=content["file_count"])
            _count(content, new)
        self.inputs += [self._input_row(one) for one in change.inputs]
        content["content_id"] = content_id_of([*digests, *(new.data_digest for new in change.files)])
        content["written_at_us"] = self.moment.at_us if change.written_at_us is None else change.written_at_us
        if change.code_version is not None:
            content["code_version"] = change.code_version
        if change.stale_mark is not None:
            content["stale_mark"] = change.stale_mark
        return content

    def _rewrite(self, change: Change, files: Sequence[KeptFile], content: dict[str, Any]) -> list[str]:
        """Put each new file in the place of the one it replaces; gives the digests of all, in order."""
        content |= {"row_count": 0, "size_bytes": 0, "file_count": 0}
        digests = []
        for one in files:
            new = change.rewrites.get(one.file_id)
            if new is not None:
                self._add_file(change, new, position=content["file_count"])
            elif one.file_id in change.rewrites:
                continue
            else:
                row = {"version_id": self.next_version_id, "position": content["file_count"], "file_id": one.file_id}
                self.version_files.append(row)
            _count(content, new or one)
            digests.append((new or one).data_digest)
        return digests

    def _take_over(self, source: Shown, *, files: bool = True, inputs: bool) -> None:
        pair = {"old": source.version_id, "new": self.next_version_id}
        if files:
            self.files_from.append(pair)
        if inputs:
            self.inputs_from.append(pair)

    def _add_file(self, change: Change, new: NewFile, *, position: int) -> None:
        schema_id = self.moment.schema_ids[change.asset_id] if change.schema_id is None else change.schema_id
        if schema_id is None:
            raise InvalidInputError(
                f"File {new.path!r} of partition {change.key!r} has no schema: its asset has none yet.",
                hint="commit the first files together with a new schema.",
            )
        file_id = self.next_file_id
        self.next_file_id += 1
        self.row_count += new.row_count
        self.size_bytes += new.size_bytes
        self.file_count += 1
        self.version_files.append({"version_id": self.next_version_id, "position": position, "file_id": file_id})
        self.files.append(
            {
                "file_id": file_id,
                "schema_id": schema_id,
                "began": self.moment.snapshot,
                "size_bytes": new.size_bytes,
                "row_count": new.row_count,
                "row_groups": new.row_groups,
                "footer_bytes": new.footer_bytes,
                "checksum": new.checksum,
                "data_digest": new.data_digest,
                "statistics": to_json(new.statistics),
            }
        )
        self.copies.append(
            {
                "file_id": file_id,
                "tier": new.tier,
                "path": new.path,
                "state": CopyState.LIVE.value,
                "owned": 1,
                "since_us": self.moment.at_us,
            }
        )

    def _input_row(self, one: InputRecord) -> dict[str, Any]:
        return {
            "version_id": self.next_version_id,
            "name": one.name,
            "input_asset_id": self.input_ids[one.asset],
            "mapping": to_json(one.mapping),
            "selection": one.selection,
            "snapshot": one.snapshot,
            "digest": one.digest,
        }


def _content(shown: Shown | None) -> dict[str, Any]:
    if shown is None:
        return dict.fromkeys(_CONTENT) | {"row_count": 0, "size_bytes": 0, "file_count": 0}
    return {name: getattr(shown, name) for name in _CONTENT}


def _count(content: dict[str, Any], file: NewFile | KeptFile) -> None:
    content["row_count"] += file.row_count
    content["size_bytes"] += file.size_bytes
    content["file_count"] += 1


def _base(change: Change, shown: Shown | None, *, own: bool) -> str | None:
    """Give what main must still hold when the branch is published: fixed when the branch first writes the key."""
    if shown is not None and own:
        return shown.base_content_id
    if not isinstance(change.base, Anything):
        return change.base
    return None if shown is None else shown.content_id


def _source_of(change: Change, sources: Mapping[int, Shown]) -> Shown:
    source = None if change.source_version_id is None else sources.get(change.source_version_id)
    if source is None or source.content_id is None:
        raise StateError(
            f"The old content of partition {change.key!r} cannot be made current again: vacuum has forgotten it.",
            hint="snapshots() lists what is still whole.",
            context={"key": change.key, "version_id": change.source_version_id},
        )
    if (source.asset_id, source.ordinal) != (change.asset_id, change.ordinal):
        raise InvalidInputError(
            f"Version {source.version_id} is of another partition than {change.key!r}.",
            context={"key": change.key, "version_id": source.version_id},
        )
    return source


def kept_files(connection: Connection, version_ids: Sequence[int]) -> dict[int, list[KeptFile]]:
    """Give the files of versions, in their order."""
    found: dict[int, list[KeptFile]] = {}
    if version_ids:
        for version_id, *values in _KEPT_FILES.rows(connection, {"ids": to_json(version_ids)}):
            found.setdefault(version_id, []).append(KeptFile(*values))
    return found


def _taken_over(changes: Iterable[Change], current: Current) -> list[int]:
    kept = (current.get((change.asset_id, change.ordinal)) for change in changes if change.kind in _TAKING_OVER)
    return [shown.version_id for shown in kept if shown is not None]


def _sources(connection: Connection, changes: Iterable[Change]) -> dict[int, Shown]:
    wanted = [change.source_version_id for change in changes if change.source_version_id is not None]
    if not wanted:
        return {}
    return {row[0]: Shown(*row) for row in connection.execute(_SOURCES, {"ids": to_json(wanted)})}


def _input_ids(connection: Connection, changes: Iterable[Change]) -> Mapping[str, int]:
    wanted = {one.asset for change in changes for one in change.inputs}
    if not wanted:
        return {}
    known: dict[str, int] = {row[0]: row[1] for row in connection.execute(select(asset.c.name, asset.c.asset_id))}
    for name in sorted(wanted - known.keys()):
        raise AssetNotFoundError(
            f"There is no asset {name!r} to record as an input.",
            hint=did_you_mean(name, known),
            context={"asset": name},
        )
    return known


_TAKING_OVER = (ChangeKind.APPEND, ChangeKind.REWRITE, ChangeKind.COMPACT)
_CONTENT = ("content_id", "row_count", "size_bytes", "file_count", "code_version", "written_at_us", "stale_mark")
_INPUT_FIELDS = ("name", "input_asset_id", "mapping", "selection", "snapshot", "digest")

# Made once: making a statement costs more than carrying it out.
_VERSION = insert_into(version, without=("ended", "marked"))
_FILE, _COPY = insert_into(file), insert_into(copy)
_VERSION_FILE, _VERSION_INPUT = insert_into(version_file), insert_into(version_input)
_END = Statement(update(version).where(version.c.version_id == bindparam("ending")).values(ended=bindparam("at")))
_FILES_FROM = Statement(
    insert(version_file).from_select(
        ["version_id", "position", "file_id"],
        select(bindparam("new", type_=BIG), version_file.c.position, version_file.c.file_id).where(
            version_file.c.version_id == bindparam("old", type_=BIG)
        ),
    )
)
_INPUTS_FROM = Statement(
    insert(version_input).from_select(
        ["version_id", *_INPUT_FIELDS],
        select(bindparam("new", type_=BIG), *(version_input.c[name] for name in _INPUT_FIELDS)).where(
            version_input.c.version_id == bindparam("old", type_=BIG)
        ),
    )
)
_KEPT_FILES = Statement(
    select(version_file.c.version_id, file.c.file_id, file.c.data_digest, file.c.row_count, file.c.size_bytes)
    .select_from(version_file.join(file, file.c.file_id == version_file.c.file_id))
    .where(in_json(version_file.c.version_id, "ids"))
    .order_by(version_file.c.version_id, version_file.c.position)
)
_SOURCES: Select[Any] = select(*(version.c[name] for name in Shown._fields)).where(in_json(version.c.version_id, "ids"))
