"""What every catalog must do for assets of several dimensions and of dynamic keys, as tests.

Subclass :class:`PartitionKeyContract` and give it a fixture ``database``.
"""

# ruff: noqa: S101, S106, S107, D102 - these are tests: they assert, their names say what is true, and tokens are no secrets

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import create_branch, declare_asset
from lakepart.catalog.lookups import find_asset, list_assets
from lakepart.catalog.partition_keys import add_keys, remove_keys, reserve_keys
from lakepart.catalog.reading import contents, find_versions, find_work, history
from lakepart.catalog.scopes import Scope
from lakepart.errors import InvalidInputError, PartitionKeyError, StateError
from lakepart.model.definitions import Daily, Dynamic, Multi, Static
from lakepart.model.known_keys import KnownKey
from lakepart.model.records import (
    MAIN,
    AssetGuard,
    AssetRecord,
    BranchRecord,
    Change,
    ChangeKind,
    CommitRequest,
    NewFile,
    WrittenKeys,
)

MOST = 1 << 20
ALL_BITS = (0, 2**63 - 1)


def write(
    database: Database, asset: AssetRecord, *ordinals: int, token: str = "first", branch: BranchRecord = MAIN
) -> None:
    """Commit one file to each ordinal, and show the dynamic keys that it wrote."""
    found = _again(database, asset)
    changes = tuple(
        Change(
            asset.asset_id,
            f"k{ordinal}",
            ordinal,
            ChangeKind.REPLACE,
            (NewFile("hot", f"{token}-{ordinal}.parquet", 1, 1, 1, "c", f"{token}{ordinal}"),),
        )
        for ordinal in ordinals
    )
    ids = found.partitions.dynamic_ids(np.array(ordinals, dtype=np.int64))
    guard = AssetGuard(asset.asset_id, found.revision, b"schema" if found.schema_id is None else None)
    written = (WrittenKeys(asset.asset_id, ids),)
    commit(
        database,
        CommitRequest(token, "write", changes, (guard,), branch_id=branch.branch_id, written_keys=written),
    )


def known(database: Database, asset: AssetRecord) -> tuple[KnownKey, ...]:
    """Give the visible keys of an asset with one dynamic dimension."""
    found = _again(database, asset).keys
    return next(iter(found.values())).entries if found else ()


class PartitionKeyContract:
    """Promises about bits of ordinals and about keys that are kept."""

    @pytest.fixture
    def customers(self, database: Database) -> AssetRecord:
        return declare_asset(database, "customers", Dynamic(by="customer").to_dict())

    @pytest.fixture
    def grid(self, database: Database) -> AssetRecord:
        """Give an asset whose ordinals are taken for a row number and four bits."""
        return declare_asset(database, "grid", Static(["a"]).to_dict())

    # conditions on bits

    @pytest.mark.parametrize(
        "ranges",
        [
            [(0, 16 * 30 - 1, 0, 15, 3, 5)],
            [(16, 16 * 20 + 15, 0, 15, 0, 0), (16, 16 * 20 + 15, 0, 15, 7, 9)],
            [(0, 31), (32, 16 * 9, 0, 15, 2, 4), (16 * 20, 16 * 25, 2, 3, 1, 2, 0, 3, 0, 1)],
            [(100, 50)],
        ],
        ids=lambda ranges: f"{len(ranges)} of {max(map(len, ranges))}",
    )
    @pytest.mark.parametrize("seen_by", ["now", "then", "branch"])
    def test_ranges_with_conditions_hold_the_ordinals_whose_bits_fit(
        self, database: Database, grid: AssetRecord, ranges: Any, seen_by: str
    ) -> None:
        ordinals = [row * 16 + code for row in range(30) for code in range(0, 12, 1 + row % 3)]
        write(database, grid, *ordinals)
        branch = create_branch(database, "try") if seen_by == "branch" else MAIN
        write(database, grid, *ordinals[::5], token="second", branch=branch)
        fitting = [ordinal for ordinal in ordinals if any(_fits(ordinal, one) for one in ranges)]
        scope = Scope(grid.asset_id, branch, 1 if seen_by == "then" else None)

        with database.reading() as connection:
            found = contents(connection, scope, ranges)
            told = history(connection, grid.asset_id, ranges, branch)
            assert find_work(connection, grid.asset_id, branch.branch_id, ranges) == []
            assert len(find_versions(connection, scope, ranges)) == len(fitting)

        assert [ordinal for ordinal, _ in found] == fitting
        assert {version.ordinal for version, _ in told} == set(fitting)

    # dynamic keys

    def test_keys_get_ids_in_the_order_they_come_and_are_expected_once(
        self, database: Database, customers: AssetRecord
    ) -> None:
        assert add_keys(database, customers.asset_id, "partition", ["b", "a"], MOST) == 2
        assert add_keys(database, customers.asset_id, "partition", ["c", "a"], MOST) == 1

        now_us = database.now_us()
        assert known(database, customers) == tuple(KnownKey(at, key, now_us) for at, key in enumerate("bac"))
        with database.reading() as connection:
            assert [one.keys for one in list_assets(connection)] == [_again(database, customers).keys]

    def test_a_reserved_key_is_unseen_until_a_commit_writes_it(
        self, database: Database, customers: AssetRecord
    ) -> None:
        first = reserve_keys(database, customers.asset_id, "partition", ["x", "y"], MOST)

        assert reserve_keys(database, customers.asset_id, "partition", ["y", "z"], MOST)[0] == first[1]
        assert known(database, customers) == ()
        write(database, customers, first[1].id)
        assert known(database, customers) == (KnownKey(1, "y"),)

    def test_ids_are_never_used_again(self, database: Database, customers: AssetRecord) -> None:
        add_keys(database, customers.asset_id, "partition", ["a", "b"], MOST)
        assert remove_keys(database, customers.asset_id, "partition", ["b"], ALL_BITS) == 1

        add_keys(database, customers.asset_id, "partition", ["c", "b"], MOST)

        assert [entry[:2] for entry in known(database, customers)] == [(0, "a"), (1, "b"), (2, "c")]

    def test_a_key_with_a_version_on_any_branch_stays(self, database: Database, customers: AssetRecord) -> None:
        add_keys(database, customers.asset_id, "partition", ["a", "b", "c"], MOST)
        write(database, customers, 0)
        write(database, customers, 1, token="second", branch=create_branch(database, "try"))

        for key in ("a", "b"):
            with pytest.raises(StateError, match=f"'{key}'"):
                remove_keys(database, customers.asset_id, "partition", ["c", key], ALL_BITS)
        with pytest.raises(PartitionKeyError, match="'d'"):
            remove_keys(database, customers.asset_id, "partition", ["c", "d"], ALL_BITS)
        assert len(known(database, customers)) == 3

    def test_a_key_is_told_from_the_bits_of_an_ordinal(self, database: Database) -> None:
        definition = Multi(day=Daily("2024-01-01"), who=Dynamic(), where=Static(["x", "y"]))
        asset = declare_asset(database, "several", definition.to_dict())
        add_keys(database, asset.asset_id, "who", ["a", "b"], MOST)
        found = _again(database, asset).partitions
        write(database, asset, found.ordinal_at(found.position_of("2024-01-03|b|y")))

        assert remove_keys(database, asset.asset_id, "who", ["a"], definition.bits_of("who")) == 1
        with pytest.raises(StateError, match="'b'"):
            remove_keys(database, asset.asset_id, "who", ["b"], definition.bits_of("who"))

    def test_no_more_keys_than_fit_are_given_an_id(self, database: Database, customers: AssetRecord) -> None:
        add_keys(database, customers.asset_id, "partition", ["a", "b"], 3)

        with pytest.raises(InvalidInputError, match="2 new keys would make 4 of dimension 'partition', and 3"):
            add_keys(database, customers.asset_id, "partition", ["c", "d"], 3)
        assert add_keys(database, customers.asset_id, "partition", ["b", "c"], 3) == 1


def _again(database: Database, asset: AssetRecord) -> AssetRecord:
    with database.reading() as connection:
        found = find_asset(connection, asset.name)
    assert found is not None
    return found


def _fits(ordinal: int, one: tuple[int, ...]) -> bool:
    conditions = [one[at : at + 4] for at in range(2, len(one), 4)]
    return one[0] <= ordinal <= one[1] and all(
        least <= ordinal // 2**shift % (mask + 1) <= greatest for shift, mask, least, greatest in conditions
    )
