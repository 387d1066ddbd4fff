"""Filling a new catalog from what manifests and checkpoints say, and from where bytes are found to lie.

It is filled beside the place where it is to stand, by one process, so its transactions need not be durable: a crash
leaves a file that nothing reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from lakepart.catalog.database import Database
from lakepart.catalog.declared import DECLARED, row_from_plain
from lakepart.catalog.encoding import to_json
from lakepart.catalog.forgetting import is_unneeded, note_horizons
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import (
    BIG,
    asset,
    branch,
    copy,
    file,
    head,
    metadata,
    schema,
    snapshot,
    tag,
    tier,
    version,
    version_file,
    version_input,
)
from lakepart.model.catalog_records import CopyState
from lakepart.model.records import MAIN_BRANCH_ID, TierRecord

Record = tuple[str, Any]
_BATCH = 1000
_ASSUMED = -1

_helpers = MetaData()
_place = Table("rebuild_place", _helpers, Column("file_id", BigInteger, primary_key=True), Column("path", Text))
_listed = Table(
    "rebuild_listed",
    _helpers,
    Column("path", Text, primary_key=True),
    Column("tier", Text, primary_key=True),
    Column("size_bytes", BigInteger),
    Column("modified_us", BigInteger),
    sqlite_with_rowid=False,
)


class Recovered(NamedTuple):
    """What became of the rows: counts, and the current files that no tier has whole, as ``(asset, key, path)``."""

    versions: int
    files: int
    forgotten: int
    lost: tuple[tuple[str, str, str], ...]


def begin(database: Database) -> None:
    """Make the tables that only rebuilding needs; the tiers that are there give way to those that are declared."""
    with database.writing(durable=False) as connection:
        _helpers.create_all(connection)
        connection.execute(update(tier).values(changed=_ASSUMED))


def records_of(manifest: Mapping[str, Any], seen: set[int]) -> Iterator[Record]:
    """Give what a manifest says in the form and order of a checkpoint's records.

    ``seen`` is the caller's memory, from manifest to manifest of format 1, of the assets that were there before.
    """
    taken = manifest["snapshot"]
    number = taken["snapshot"]
    if manifest["format"] == 1:
        yield from _undeclared(manifest, seen)
    declared = manifest.get("declared", {})
    for table in (*DECLARED, "marked"):
        for row in declared.get(table, ()):
            yield table, row
    branch_id = manifest["branch"]["branch_id"]
    yield "snapshot", {**taken, "metadata": to_json(taken["metadata"]), "branch_id": branch_id}
    for version_id in manifest["ended"]:
        yield "ended", [version_id, number]
    for row in manifest["files"]:
        yield "file", {**row, "statistics": to_json(row["statistics"])}
    for row in manifest["versions"]:
        yield "version", {name: value for name, value in row.items() if name not in {"files", "inputs"}}
    for row in manifest["versions"]:
        for position, file_id in enumerate(row["files"]):
            yield "version_file", {"version_id": row["version_id"], "position": position, "file_id": file_id}
    for row in manifest["versions"]:
        for one in row["inputs"]:
            yield "version_input", {**one, "version_id": row["version_id"], "mapping": to_json(one["mapping"])}


def _undeclared(manifest: Mapping[str, Any], seen: set[int]) -> Iterator[Record]:
    """Give what a manifest of format 1 says of declarations: of assets as the commit left them, and of its branch."""
    taken, of_branch = manifest["snapshot"], manifest["branch"]
    number, at_us = taken["snapshot"], taken["at_us"]
    if of_branch["branch_id"] != MAIN_BRANCH_ID:
        yield "branch", {**of_branch, "state": "open", "created_at_us": at_us}
    if manifest["publishes_branch"] is not None:
        yield "published", [manifest["publishes_branch"], at_us, number]
    for one in manifest["assets"]:
        asset_id, cut = one["asset_id"], {"definition": to_json(one["definition"]), "options": to_json(one["options"])}
        schema_ids = [found["schema_id"] for found in one["schemas"]]
        newest = {"schema_id": max(schema_ids)} if schema_ids else {}
        yield (
            "asset",
            {"asset_id": asset_id, "name": one["name"], "revision": 1, "created_at_us": at_us, **cut, **newest},
        )
        for found in one["schemas"]:
            yield "schema", {"asset_id": asset_id, **found}
        if asset_id not in seen:
            yield "asset_definition", {"asset_id": asset_id, "began": number - 1, "change": "declared", **cut}
        if one.get("redefined") is not None:  # the first manifests had none: definitions never changed
            yield "asset_definition", {"asset_id": asset_id, "began": number, "change": one["redefined"], **cut}
        seen.add(asset_id)


def put_records(database: Database, records: Iterable[Record]) -> None:
    """Write records, each overruling what was written of the same row before."""
    with database.writing(durable=False) as connection:
        batch: list[Any] = []
        of: tuple[str, ...] = ()
        for what, value in records:
            kind = (what, *value) if isinstance(value, dict) else (what,)
            if batch and (kind != of or len(batch) >= _BATCH):
                _put(connection, of[0], batch)
                batch = []
            of = kind
            batch.append(value)
        if batch:
            _put(connection, of[0], batch)


def _put(connection: Connection, what: str, values: list[Any]) -> None:
    if what == "ended":
        connection.execute(_END, [{"of": of, "at": at} for of, at in values])
    elif what == "marked":
        connection.execute(_MARK, [{"of": of, "mark": mark} for of, mark in values])
    elif what == "published":
        connection.execute(_PUBLISH, [{"of": of, "at": at, "in": number} for of, at, number in values])
    elif what in metadata.tables:
        table = metadata.tables[what]
        more = {"manifested": 1} if table is snapshot else {}
        rows = [row_from_plain(table, {**value, **more}) for value in values]
        connection.execute(_upsert(table, tuple(rows[0])), rows)
        if table is file:
            places = [{"file_id": value["file_id"], "path": value["path"]} for value in values]
            connection.execute(_upsert(_place, ("file_id", "path")), places)


def settle_tiers(database: Database) -> list[TierRecord]:
    """Give the tiers that were declared, hottest first; of a lake whose manifests name none, those assumed."""
    with database.writing(durable=False) as connection:
        if any(changed != _ASSUMED for changed in connection.execute(select(tier.c.changed)).scalars()):
            connection.execute(delete(tier).where(tier.c.changed == _ASSUMED))
        connection.execute(update(tier).where(tier.c.changed == _ASSUMED).values(changed=0))
        columns = (tier.c.name, tier.c.root, tier.c.storage_class, tier.c.rank)
        found = connection.execute(select(*columns).order_by(tier.c.rank, tier.c.name))
        return [TierRecord(*row) for row in found]


def note_listing(database: Database, tier_name: str, stored: Iterable[tuple[str, int, int]]) -> None:
    """Note what a tier holds: ``(path, size_bytes, modified_us)`` of each object."""
    with database.writing(durable=False) as connection:
        batch = []
        for path, size_bytes, modified_us in stored:
            batch.append({"path": path, "tier": tier_name, "size_bytes": size_bytes, "modified_us": modified_us})
            if len(batch) == _BATCH:
                connection.execute(insert(_listed), batch)
                batch = []
        if batch:
            connection.execute(insert(_listed), batch)


class Double(NamedTuple):
    """A file that lies on several tiers with the size it should have, by the tier it was put on last."""

    path: str
    checksum: str
    tiers: list[str]


def list_doubles(database: Database) -> list[Double]:
    """Give the files of which a size does not tell which copy to open."""
    doubles: dict[int, Double] = {}
    with database.reading() as connection:
        for file_id, path, expected, tier_name in connection.execute(_DOUBLES):
            doubles.setdefault(file_id, Double(path, expected, [])).tiers.append(tier_name)
    return list(doubles.values())


def leave_out(database: Database, damaged: Iterable[tuple[str, str]]) -> None:
    """Take objects, given as ``(tier, path)``, for no copies of any file."""
    with database.writing(durable=False) as connection:
        for tier_name, path in damaged:
            connection.execute(_LEAVE_OUT, {"on": tier_name, "at": path})


def finish(database: Database, *, horizon: int, next_ids: Mapping[str, int], now_us: int) -> Recovered:
    """Say where bytes lie, forget old versions whose bytes are gone, and set the head.

    Where a file lies whole on several tiers, the copy made last is the one that a move made and that readers open. A
    file that no tier has whole keeps its version if that is current or seen by a branch: reading it is an error that
    names it, as it is wherever a file is lost.
    """
    with database.writing(durable=False) as connection:
        _set_head(connection, horizon, next_ids)
        forgotten = connection.execute(select(_FORGETTABLE)).all()
        ids = {"ids": to_json([row.version_id for row in forgotten])}
        for table in (version_input, version_file, version):
            connection.execute(delete(table).where(in_json(table.c.version_id, "ids")), ids)
        note_horizons(connection, [(row.asset_id, row.ended) for row in forgotten if row.state == "open"])
        connection.execute(delete(file).where(~exists().where(version_file.c.file_id == file.c.file_id)))
        connection.execute(_PLACE_FOUND, {"now": now_us})
        lost = [(*row,) for row in connection.execute(_LOST_FILES)]
        connection.execute(_PLACE_LOST)
        versions, files = (
            connection.execute(select(func.count()).select_from(t)).scalar_one() for t in (version, file)
        )
        return Recovered(versions, files, len(forgotten), tuple(lost))


def iter_unknown(database: Database) -> Iterator[tuple[str, str]]:
    """Give ``(tier, path)`` of what was found on tiers and is in no version, by tier and path."""
    with database.reading() as connection:
        for row in connection.execution_options(yield_per=1000).execute(_UNKNOWN):
            yield (*row,)


def end(database: Database) -> None:
    """Take away what only rebuilding needed."""
    with database.writing() as connection:
        _helpers.drop_all(connection)


def _set_head(connection: Connection, horizon: int, next_ids: Mapping[str, int]) -> None:
    """Set the head; ids that forgotten rows had are not given out again."""
    newest = connection.execute(select(snapshot.c.snapshot, snapshot.c.at_us).order_by(snapshot.c.snapshot.desc()))
    number, at_us = newest.first() or (0, 0)
    greatest = [
        connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
        for column in (
            version.c.version_id,
            file.c.file_id,
            asset.c.asset_id,
            schema.c.schema_id,
            branch.c.branch_id,
            tag.c.tag_id,
        )
    ]
    connection.execute(
        update(head).values(
            snapshot=number,
            at_us=at_us,
            horizon=horizon,
            next_version_id=max(greatest[0] + 1, next_ids.get("version", 0)),
            next_file_id=max(greatest[1] + 1, next_ids.get("file", 0)),
            next_id=max(*(one + 1 for one in greatest[2:]), next_ids.get("other", 0)),
        )
    )


@cache
def _upsert(table: Table, columns: tuple[str, ...]) -> Any:
    statement = upsert(table).values({name: bindparam(name) for name in columns})
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_OF = bindparam("of", type_=BIG)
_END = update(version).where(version.c.version_id == _OF).values(ended=bindparam("at"))
_MARK = update(version).where(version.c.version_id == _OF).values(stale_mark=bindparam("mark"))
_PUBLISH = (
    update(branch)
    .where(branch.c.branch_id == _OF)
    .values(state="published", closed_at_us=bindparam("at"), published_as=bindparam("in"))
)

_found = (
    select(
        _place.c.file_id,
        _listed.c.tier,
        _place.c.path,
        func.row_number()
        .over(partition_by=_place.c.file_id, order_by=(_listed.c.modified_us.desc(), tier.c.rank))
        .label("place"),
        func.count().over(partition_by=_place.c.file_id).label("places"),
        snapshot.c.at_us,
    )
    .select_from(
        _place.join(_listed, _listed.c.path == _place.c.path)
        .join(file, and_(file.c.file_id == _place.c.file_id, file.c.size_bytes == _listed.c.size_bytes))
        .join(tier, tier.c.name == _listed.c.tier)
        .join(snapshot, snapshot.c.snapshot == file.c.began)
    )
    .subquery()
)
_is_whole = exists().where(
    _listed.c.path == _place.c.path, _listed.c.size_bytes == file.c.size_bytes, _place.c.file_id == file.c.file_id
)
_FORGETTABLE = (
    select(version.c.version_id, version.c.asset_id, version.c.ended, branch.c.state)
    .join(branch, branch.c.branch_id == version.c.branch_id)
    .where(
        is_unneeded(),
        exists().where(
            version_file.c.version_id == version.c.version_id,
            version_file.c.file_id == file.c.file_id,
            ~_is_whole,
        ),
    )
    .subquery()
)
_DOUBLES = (
    select(_found.c.file_id, _found.c.path, file.c.checksum, _found.c.tier)
    .select_from(_found.join(file, file.c.file_id == _found.c.file_id))
    .where(_found.c.places > 1)
    .order_by(_found.c.file_id, _found.c.place)
)
_LEAVE_OUT = (
    update(_listed).where(_listed.c.tier == bindparam("on"), _listed.c.path == bindparam("at")).values(size_bytes=-1)
)
_COPY = ["file_id", "tier", "path", "state", "owned", "since_us"]
_PLACE_FOUND = insert(copy).from_select(
    _COPY,
    select(
        _found.c.file_id,
        _found.c.tier,
        _found.c.path,
        case((_found.c.place == 1, CopyState.LIVE.value), else_=CopyState.RETIRED.value),
        literal(1),
        case((_found.c.place == 1, _found.c.at_us), else_=bindparam("now")),
    ),
)
_lost = ~exists().where(copy.c.file_id == file.c.file_id)
_LOST_FILES = (
    select(asset.c.name, version.c.key, _place.c.path)
    .distinct()
    .select_from(
        file.join(_place, _place.c.file_id == file.c.file_id)
        .join(version_file, version_file.c.file_id == file.c.file_id)
        .join(version, version.c.version_id == version_file.c.version_id)
        .join(asset, asset.c.asset_id == version.c.asset_id)
    )
    .where(_lost)
    .order_by(asset.c.name, version.c.key, _place.c.path)
)
_where_torn = select(func.min(_listed.c.tier)).where(_listed.c.path == _place.c.path).scalar_subquery()
_hottest = select(tier.c.name).order_by(tier.c.rank, tier.c.name).limit(1).scalar_subquery()
_PLACE_LOST = insert(copy).from_select(
    _COPY,
    select(
        file.c.file_id,
        func.coalesce(_where_torn, _hottest),
        _place.c.path,
        literal(CopyState.LIVE.value),
        literal(1),
        snapshot.c.at_us,
    )
    .select_from(
        file.join(_place, _place.c.file_id == file.c.file_id).join(snapshot, snapshot.c.snapshot == file.c.began)
    )
    .where(_lost),
)
_UNKNOWN = (
    select(_listed.c.tier, _listed.c.path)
    .where(~exists().where(copy.c.tier == _listed.c.tier, copy.c.path == _listed.c.path))
    .order_by(_listed.c.tier, _listed.c.path)
)
