"""Statuses as a frame."""

from __future__ import annotations

import pytest

from lakepart.engine.status import status_frame
from lakepart.model.records import VersionRecord
from lakepart.planning.status import PartitionStatus


def missing(key):
    return PartitionStatus(key, 0, "missing", None, (), None, None, ())


def fresh(key):
    version = VersionRecord(1, 1, 0, key, 1, "content", 7, None, 600, 25_000, 2, "v1", 1_357_000_000_000_001)
    return PartitionStatus(key, 1, "fresh", None, (), None, version, ("hot", "cold"))


def test_a_missing_partition_has_no_figures_beside_one_that_is_there():
    frame = status_frame([missing("a"), fresh("b")])

    assert frame.loc[1, ["rows", "bytes", "files", "snapshot"]].tolist() == [600, 25_000, 2, 7]
    assert frame.loc[1, "written_at"].isoformat() == "2013-01-01T00:26:40.000001+00:00"
    assert frame["tier"].tolist() == ["", "hot+cold"]
    assert frame.loc[0, ["rows", "bytes", "files", "snapshot", "written_at"]].isna().all()


@pytest.mark.parametrize("statuses", [[], [missing("a")], [fresh("b")]], ids=["none", "missing", "fresh"])
def test_the_columns_of_figures_have_the_same_types_whatever_there_is(statuses):
    types = status_frame(statuses).dtypes.astype(str)

    assert types[["rows", "bytes", "files", "snapshot"]].tolist() == ["Int64"] * 4
    assert types["written_at"] == "datetime64[us, UTC]"
