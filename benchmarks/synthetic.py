"""Catalogs of any number of partitions: committed as every other, but with files that nobody made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

import lakepart as lp
from lakepart.catalog.committing import commit
from lakepart.catalog.manifests import mark_manifested
from lakepart.engine.context import new_id
from lakepart.model.records import AssetGuard, AssetRecord, Change, ChangeKind, CommitRequest, NewFile
from lakepart.parquet.schemas import assign_field_ids, serialise

ASSET = "hours"
DEFINITION = lp.Hourly("1880-01-01")  # a million hours later it is 1994
SCHEMA = pa.schema([("x", pa.int64()), ("y", pa.float64())])
_AT_ONCE = 20_000
_FILE_BYTES, _FILE_ROWS = 25_000, 600


def grow(folder: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """Make a lake, commit partitions until it has each of ``sizes``, and keep a copy of it at each."""
    growing = folder / "growing"
    lp.create(growing).close()
    lakes = {}
    for smaller, size in pairwise((0, *sorted(sizes))):
        with lp.connect(growing) as lake:
            lake.asset(ASSET, partitions=DEFINITION)
            for start in range(smaller, size, _AT_ONCE):
                _commit(lake, start, min(start + _AT_ONCE, size))
        lakes[size] = folder / str(size)
        shutil.copytree(growing, lakes[size])
    shutil.rmtree(growing)
    return lakes


def range_of(start: int, count: int) -> slice:
    """Give what stands in ``asset[…]`` to select ``count`` partitions from number ``start`` on."""
    return slice(DEFINITION.key_at(start + _OFFSET), DEFINITION.key_at(start + count - 1 + _OFFSET))


def _commit(lake: lp.Lake, start: int, stop: int) -> None:
    home = lake._home
    record = home.record(ASSET)
    token = new_id()
    schema = serialise(assign_field_ids(SCHEMA)) if record.schema_id is None else None
    request = CommitRequest(
        token=token,
        operation="write",
        changes=tuple(_change(record, token, number) for number in range(start, stop)),
        assets=(AssetGuard(record.asset_id, record.revision, schema),),
    )
    snapshot = commit(home.context.database, request).snapshot
    mark_manifested(home.context.database, [snapshot])  # or the next real write would write this commit's too


def _change(asset: AssetRecord, token: str, number: int) -> Change:
    position = number + _OFFSET
    key = DEFINITION.key_at(position)
    checksum = sha256(key.encode()).hexdigest()
    file = NewFile(
        tier="hot",
        path=f"{ASSET}/partition={key}/{token}-{number}.parquet",
        size_bytes=_FILE_BYTES,
        row_count=_FILE_ROWS,
        row_groups=1,
        checksum=checksum,
        data_digest=checksum,
        footer_bytes=900,
        statistics={"x": [number, number + 1, 0], "y": [0.0, 1.0, 0]},
    )
    return Change(asset.asset_id, key, DEFINITION.ordinal_at(position), ChangeKind.REPLACE, (file,))


_OFFSET = DEFINITION.universe.first
