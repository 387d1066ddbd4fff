"""Statuses as columns: put together, and as a frame."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.engine.status import status_frame
from lakepart.model.catalog_records import WorkRecord
from lakepart.model.definitions import Static
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import VersionRecord
from lakepart.model.states import TargetState
from lakepart.planning.staleness import EARLY, Reason, StaleKind
from lakepart.planning.status import PartitionStatus, gather_statuses

LETTERS = Static(list("abcdefgh"))
CODE = Reason(StaleKind.CODE, "code version 1, now 2")
UPSTREAM = Reason(StaleKind.UPSTREAM, "upstream-stale: raw")
WRITTEN_AT_US = 1_357_000_000_000_001
FRESH = VersionRecord(1, 1, 0, "b", 1, "content", 7, None, 600, 25_000, 2, "v1", WRITTEN_AT_US)


def gathered(expected, versions=(), reasons=None, work=(), tiers=()):
    columns = {field.name: [getattr(version, field.name) for version in versions] for field in fields(VersionRecord)}
    return gather_statuses(
        PartitionSet.from_keys(LETTERS, expected),
        columns,
        reasons or {},
        work,
        ([ordinal for ordinal, _ in tiers], [tier for _, tier in tiers]),
    )


def test_a_missing_partition_has_no_figures_beside_one_that_is_there():
    frame = status_frame(gathered("ab", [FRESH], tiers=[(1, "hot"), (1, "cold")]))

    assert frame.loc[1, ["rows", "bytes", "files", "snapshot"]].tolist() == [600, 25_000, 2, 7]
    assert frame.loc[1, "written_at"].isoformat() == "2013-01-01T00:26:40.000001+00:00"
    assert frame["tier"].tolist() == ["", "hot+cold"]
    assert frame.loc[0, ["rows", "bytes", "files", "snapshot", "written_at"]].isna().all()


@pytest.mark.parametrize(
    ("expected", "versions"), [("", []), ("a", []), ("", [FRESH])], ids=["none", "missing", "fresh"]
)
def test_the_columns_of_figures_have_the_same_types_whatever_there_is(expected, versions):
    types = status_frame(gathered(expected, versions)).dtypes.astype(str)

    assert types[["rows", "bytes", "files", "snapshot"]].tolist() == ["Int64"] * 4
    assert types["written_at"] == "datetime64[us, UTC]"


@st.composite
def versions(draw, ordinal):
    return VersionRecord(
        version_id=ordinal + 1,
        asset_id=1,
        branch_id=0,
        key=LETTERS.key_at(ordinal),
        ordinal=ordinal,
        content_id=draw(st.sampled_from(["x", "y"])),
        began=draw(st.integers(1, 9)),
        ended=None,
        row_count=draw(st.integers(0, 2)),
        size_bytes=draw(st.integers(0, 10**12)),
        file_count=draw(st.integers(0, 3)),
        code_version=draw(st.sampled_from([None, "1", "2"])),
        written_at_us=draw(st.integers(10, 13)),
    )


@st.composite
def facts(draw):
    ordinals = st.sets(st.integers(0, 7))
    there = sorted(draw(ordinals))
    marked = [ordinal for ordinal in there if draw(st.booleans())]
    reasons = {
        ordinal: draw(st.lists(st.sampled_from([CODE, EARLY, UPSTREAM]), min_size=1, unique=True)) for ordinal in marked
    }
    work = [
        WorkRecord(
            ordinal,
            LETTERS.key_at(ordinal),
            draw(st.sampled_from([TargetState.RUNNING, TargetState.FAILED])),
            draw(st.integers(10, 13)),
            draw(st.sampled_from([None, "ValueError: no"])),
            "backfill",
            0,
        )
        for ordinal in sorted(draw(ordinals))
    ]
    tiers = {ordinal: draw(st.sampled_from([(), ("hot",), ("cold",), ("cold", "hot")])) for ordinal in there}
    return sorted(draw(ordinals)), [draw(versions(ordinal)) for ordinal in there], reasons, work, tiers


def one_by_one(expected, listed, reasons, work, tiers):
    """Say the rules again, for one partition after another."""
    by_ordinal = {version.ordinal: version for version in listed}
    for ordinal in sorted({*expected, *by_ordinal}):
        version, given_reasons = by_ordinal.get(ordinal), tuple(reasons.get(ordinal, ()))
        worked = next((one for one in work if one.ordinal == ordinal), None)
        if worked and worked.state == "failed" and version and version.written_at_us > worked.at_us:
            worked = None
        if version is None:
            data = "missing"
        elif {CODE, EARLY} & set(given_reasons):
            data = "stale"
        else:
            data = "fresh" if version.row_count else "empty"
        yield PartitionStatus(
            key=LETTERS.key_at(ordinal),
            ordinal=ordinal,
            data=data,
            work=worked.state if worked else None,
            reasons=given_reasons,
            error=worked.error if worked else None,
            version=version,
            tiers=tiers.get(ordinal, ()),
        )


@given(facts())
def test_columns_say_of_each_partition_what_the_rules_say_of_it_alone(given_facts):
    expected, listed, reasons, work, tiers = given_facts
    alone = list(one_by_one(expected, listed, reasons, work, tiers))
    pairs = [(ordinal, tier) for ordinal, names in tiers.items() for tier in names + names[:1]]

    statuses = gathered([LETTERS.key_at(ordinal) for ordinal in expected], listed, reasons, work, pairs)

    assert statuses.to_objects() == alone
    assert statuses.states == [status.state for status in alone]
    rows = status_frame(statuses).astype(object)
    rows = rows.where(rows.notna(), None)
    assert rows.drop(columns="written_at").to_dict("records") == [
        {
            "key": status.key,
            "state": status.work or status.data,
            "data": status.data,
            "work": status.work,
            "reasons": "; ".join(reason.text for reason in status.reasons),
            "rows": status.version and status.version.row_count,
            "bytes": status.version and status.version.size_bytes,
            "files": status.version and status.version.file_count,
            "tier": "+".join(status.tiers),
            "snapshot": status.version and status.version.began,
            "code_version": status.version and status.version.code_version,
            "error": status.error,
        }
        for status in alone
    ]
    written = [None if at is None else at.value // 1000 for at in rows["written_at"]]
    assert written == [status.version and status.version.written_at_us for status in alone]
