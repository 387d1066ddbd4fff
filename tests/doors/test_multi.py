"""Assets of several dimensions, from writing to the past."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event

import lakepart as lp
from lakepart.cli.app import run
from lakepart.testing import copied, files_of, frozen_lake, query_catalog, stray_files

NOW = datetime(2024, 1, 4, 12, tzinfo=UTC)
BOTH = lp.Multi(
    day=lp.Daily("2024-01-01", by="at", tz="America/New_York"), carrier=lp.Static(["UA", "AA", "DL"], by="carrier")
)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    lake.asset("flights", partitions=BOTH).write(rows((1, "UA", 1), (1, "AA", 2), (2, "UA", 3), (3, "DL", 4)))
    return lake


@pytest.fixture
def lake(template, tmp_path) -> lp.Lake:
    return copied(template, tmp_path / "lake")


@pytest.fixture
def flights(lake) -> lp.Asset:
    return lake.asset("flights")


def rows(*given: tuple[int, str | None, int]) -> pa.Table:
    instants = [datetime(2024, 1, day, 17, tzinfo=UTC) for day, _, _ in given]
    return pa.table(
        {
            "at": pa.array(instants, pa.timestamp("us", "UTC")),
            "carrier": pa.array([carrier for _, carrier, _ in given], pa.string()),
            "x": pa.array([x for _, _, x in given], pa.int64()),
        }
    )


def xs(read: lp.Selection | lp.Asset) -> list[int]:
    return read.to_arrow()["x"].to_pylist()


def test_rows_find_their_partitions_by_every_dimension_and_lie_in_nested_folders(lake, flights) -> None:
    assert flights.keys == ["2024-01-01|UA", "2024-01-01|AA", "2024-01-02|UA", "2024-01-03|DL"]
    paths = [path for (path,) in query_catalog(lake.url, "SELECT path FROM copy ORDER BY path")]
    assert [path.rsplit("/", 1)[0] for path in paths] == [
        "flights/day=2024-01-01/carrier=AA",
        "flights/day=2024-01-01/carrier=UA",
        "flights/day=2024-01-02/carrier=UA",
        "flights/day=2024-01-03/carrier=DL",
    ]
    for name in (name for name in files_of(lake.url) if name.endswith(".parquet")):
        read = pq.read_table(BytesIO(files_of(lake.url)[name])).to_pylist()
        assert [f"day={row['at'].date()}/carrier={row['carrier']}" for row in read] == ["/".join(name.split("/")[2:4])]
    assert stray_files(lake.url) == set()
    assert lake.check() == []


def test_selections_of_every_form_read_what_they_name(flights) -> None:
    assert xs(flights) == [1, 2, 3, 4]
    assert xs(flights[:, "UA"]) == [1, 3]
    assert xs(flights["2024-01-02":]) == [3, 4]
    assert xs(flights["2024-01-02":, ["DL", "AA"]]) == [4]
    assert xs(flights[{"carrier": ["AA"]}]) == [2]
    assert xs(flights["2024-01-01|UA"]) == [1]
    assert xs(flights[[("2024-01-01", "AA"), "2024-01-03|DL"]]) == [2, 4]
    assert xs(flights.select("2024-01-01|{UA,AA}") & flights[:, "AA"]) == [2]
    assert xs(flights.select("2024-01-02..|UA")) == [3]
    assert xs(flights.select("*|{AA,DL}")) == [2, 4]
    assert xs(flights.select("2024-01-02")) == [3]
    assert flights.latest(2).keys == ["2024-01-02|UA", "2024-01-03|DL"]
    assert (
        flights.between(datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)).keys[0] == "2024-01-02|UA"
    )
    assert (~flights[:, "UA"]).keys == ["2024-01-01|AA", "2024-01-03|DL"]
    assert [one.keys for one in reversed(flights[:])] == [[key] for key in reversed(flights.keys)]
    assert [part.keys for part in flights[:].split(3)] == [flights.keys[:2], flights.keys[2:3], flights.keys[3:]]
    with pytest.raises(lp.PartitionNotFoundError, match=r"2024-01-02\|AA"):
        flights["2024-01-02", "AA"].to_arrow()
    with pytest.raises(lp.InvalidInputError, match="no dimension 'carier'"):
        flights[{"carier": "UA"}]


def test_one_dimension_of_endless_days_is_read_in_one_query_by_range(lake, flights) -> None:
    engine = lake._home.context.database.engine
    plans: list[str] = []

    def note(connection, _cursor, statement, parameters, *_) -> None:
        if "FROM version" in statement:
            driver = connection.connection.driver_connection
            plans.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert flights[:, "UA"].keys == ["2024-01-01|UA", "2024-01-02|UA"]
    finally:
        event.remove(engine, "before_cursor_execute", note)

    searched = [step for step in plans if step.startswith(("SEARCH", "SCAN"))]
    assert len(searched) == 1
    assert "ix_version_present (asset_id=? AND branch_id=? AND ordinal>? AND ordinal<?)" in searched[0]


def test_status_expects_every_combination_up_to_the_last_elapsed_day(flights) -> None:
    status = flights.status().set_index("key")

    assert len(status) == 3 * 3
    assert status.loc["2024-01-01|UA", "state"] == "fresh"
    assert status.loc["2024-01-02|DL", "state"] == "missing"
    assert flights.missing().keys == [
        "2024-01-01|DL",
        "2024-01-02|AA",
        "2024-01-02|DL",
        "2024-01-03|UA",
        "2024-01-03|AA",
    ]
    assert flights[:, "UA"].status()["key"].tolist() == ["2024-01-01|UA", "2024-01-02|UA", "2024-01-03|UA"]


def test_a_partition_written_before_its_window_ends_is_early(flights) -> None:
    flights.write(rows((4, "UA", 9)))

    assert flights["2024-01-04|UA"].status()["state"].tolist() == ["stale"]


def test_one_partition_is_replaced_by_key_tuple_or_parts(flights) -> None:
    flights.write(rows((1, "UA", 10)), "2024-01-01|UA")
    flights.write(rows((1, "AA", 20)), ("2024-01-01", "AA"))
    flights.write(rows((2, "UA", 30)), {"day": "2024-01-02", "carrier": "UA"})
    flights.write({"2024-01-03|DL": rows((3, "DL", 40)), "2024-01-03|AA": rows((3, "AA", 50))})

    assert xs(flights) == [10, 20, 30, 50, 40]


def test_a_selection_is_replaced_whole_and_what_has_no_rows_is_known_to_be_empty(flights) -> None:
    flights["2024-01-01":"2024-01-02", ["UA", "DL"]].write(rows((1, "DL", 5)))

    status = flights.status().set_index("key")["data"]
    assert status["2024-01-01|DL"] == "fresh"
    assert status[["2024-01-01|UA", "2024-01-02|UA", "2024-01-02|DL"]].tolist() == ["empty"] * 3
    assert status["2024-01-01|AA"] == "fresh"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rows((1, "ZZ", 1)), "Column 'carrier' has the value 'ZZ' in row 0"),
        (rows((1, "UA", 1), (2, None, 1)), "Column 'carrier' is null in 1 of 2 rows, first in row 1"),
        (rows((1, "UA", 1)).drop_columns(["carrier"]), "no column 'carrier'"),
        (rows((1, "UA", 1)).append_column("day", [["x"]]), "a column 'day'"),
    ],
)
def test_rows_that_belong_nowhere_are_refused_and_change_nothing(lake, flights, data, message) -> None:
    before = query_catalog(lake.url, "SELECT snapshot FROM head")

    with pytest.raises(lp.InvalidInputError, match=message):
        flights.write(data, if_exists="replace")

    assert query_catalog(lake.url, "SELECT snapshot FROM head") == before
    assert stray_files(lake.url) == set()


def test_rows_of_another_partition_are_refused_whichever_dimension_tells(flights) -> None:
    with pytest.raises(lp.PartitionKeyError, match=r"2024-01-01\|AA.* but only '2024-01-01\|UA'"):
        flights.write(rows((1, "AA", 1)), "2024-01-01|UA")
    with pytest.raises(lp.PartitionKeyError, match="partition 'AA', but only"):
        flights.write({"2024-01-01|UA": rows((1, "AA", 1))})
    with pytest.raises(lp.AlreadyExistsError, match=r"exists already: 2024-01-01\|UA"):
        flights.write(rows((1, "UA", 1)))


def test_a_stream_out_of_order_reaches_its_partitions(lake) -> None:
    asset = lake.asset("stream", partitions=BOTH)

    commit = asset.write(iter([rows((3, "AA", 1), (1, "DL", 2)).to_batches()[0], rows((2, "UA", 3)).to_batches()[0]]))

    assert commit.partitions == 3
    assert xs(asset) == [2, 3, 1]


def test_dimensions_that_rows_do_not_name_become_columns(lake) -> None:
    asset = lake.asset(
        "partly", partitions=lp.Multi(day=lp.Daily("2024-01-01", by="d"), source=lp.Static(["web", "app"]))
    )
    day = pa.array([date(2024, 1, 1)], pa.date32())
    for source, x in (("web", 1), ("app", 2)):
        asset.write(pa.table({"d": day, "x": [x]}), ("2024-01-01", source))

    read = asset.to_pandas()
    assert list(read.columns) == ["d", "x", "source"]
    assert read["source"].tolist() == ["web", "app"]
    assert asset.to_arrow(key_column="key")["key"].to_pylist() == ["2024-01-01|web", "2024-01-01|app"]
    with pytest.raises(lp.InvalidInputError, match=r"names no column \(by=…\) for 'source'"):
        asset.write(pa.table({"d": day, "x": [1]}))
    with pytest.raises(lp.PartitionKeyError, match="partition '2024-01-01', but only '2024-01-02"):
        asset.write(pa.table({"d": day, "x": [1]}), ("2024-01-02", "web"))
    with pytest.raises(lp.SchemaMismatchError, match="a column 'source'"):
        asset.write(pa.table({"d": day, "x": [1], "source": ["web"]}), ("2024-01-01", "web"))


def test_a_backfill_computes_each_combination_and_tells_the_producer_its_parts(lake) -> None:
    asset = lake.asset("made", partitions=lp.Multi(day=lp.Daily("2024-01-01"), carrier=lp.Static(["UA", "AA"])))

    def make(part: lp.Part) -> pd.DataFrame:
        parts = part.dimensions
        return pd.DataFrame({"x": [part.start.day * 10 + len(parts["carrier"])], "who": [parts["carrier"]]})

    asset["2024-01-02":, "UA"].backfill(make, progress=False)
    assert asset.keys == ["2024-01-02|UA", "2024-01-03|UA"]
    asset.backfill(make, progress=False, workers=2)

    assert asset.keys == [f"2024-01-0{day}|{who}" for day in (1, 2, 3) for who in ("UA", "AA")]
    assert asset.to_pandas()[["who", "carrier"]].apply(lambda row: row["who"] == row["carrier"], axis=1).all()
    assert lake.check() == []


def test_history_rollback_and_views_of_the_past_know_every_dimension(lake, flights) -> None:
    flights.write(rows((1, "UA", 10)), "2024-01-01|UA")

    assert flights[:, "UA"].history()["key"].tolist() == ["2024-01-01|UA", "2024-01-01|UA", "2024-01-02|UA"]
    assert xs(lake.at(1).asset("flights")[:, "UA"]) == [1, 3]
    flights[:, "UA"].rollback(to=1)
    assert xs(flights) == [1, 2, 3, 4]
    assert flights["2024-01-01", "UA"].explain()["key"].unique().tolist() == ["2024-01-01|UA"]


def test_a_branch_shows_its_own_cells_and_falls_through_for_the_others(lake, flights) -> None:
    branch = lake.create_branch("try")
    branch.asset("flights")["2024-01-01", "UA"].write(rows((1, "UA", 10)))
    flights.write(rows((2, "DL", 7)))

    assert xs(branch.asset("flights")[:, "UA"]) == [10, 3]
    assert xs(flights[:, "UA"]) == [1, 3]
    branch.publish()
    assert xs(flights[:, ["UA", "DL"]]) == [10, 3, 7, 4]


def test_partitions_move_by_selection_and_by_the_age_of_their_day(lake, flights, tmp_path) -> None:
    moved = flights[:, "UA"].demote("cold", progress=False)
    assert moved.partitions == 2
    assert flights.in_tier("cold").keys == ["2024-01-01|UA", "2024-01-02|UA"]

    policy = tmp_path / "tiering.toml"
    policy.write_text('[[rule]]\nassets = "flights"\nto = "cold"\nolder_than = "2d"\n')
    plan = lake.plan_tiering(lp.TieringPolicy.from_toml(policy), as_of=NOW)
    assert [move.key for move in plan.moves] == ["2024-01-01|AA"]
    lake.apply(plan, progress=False)
    assert flights.in_tier("cold").keys == ["2024-01-01|UA", "2024-01-01|AA", "2024-01-02|UA"]
    assert flights.older_than(timedelta(days=2)).keys == ["2024-01-01|UA", "2024-01-01|AA"]
    report = lake.tier_report().set_index("tier")
    assert report.loc["cold", ["partitions", "first", "last"]].tolist() == [3, "2024-01-01|UA", "2024-01-02|UA"]
    assert lake.check() == []


def test_two_time_dimensions_elapse_together(lake) -> None:
    cut = lp.Multi(made=lp.Daily("2024-01-01", by="made"), seen=lp.Monthly("2024-01-01", by="seen"))
    asset = lake.asset("twice", partitions=cut)
    asset.write(
        pa.table({"made": pa.array([date(2024, 1, 2)]), "seen": pa.array([date(2024, 2, 20)]), "x": [1]}),
    )

    assert asset.keys == ["2024-01-02|2024-02-01"]
    assert asset.missing().keys == []
    assert asset.missing(as_of=datetime(2024, 2, 1, tzinfo=UTC)).keys[0] == "2024-01-01|2024-01-01"
    assert asset[:].windows == [None]


def test_a_declaration_is_the_same_whatever_bits_it_was_given(lake) -> None:
    assert lake.asset("flights", partitions=BOTH).partitions == BOTH
    with pytest.raises(lp.AlreadyExistsError, match="was declared as Multi"):
        lake.asset("flights", partitions=lp.Multi(day=lp.Daily("2024-01-01"), carrier=lp.Static(["UA"])))
    recorded = json.loads(query_catalog(lake.url, "SELECT definition FROM asset WHERE name = 'flights'")[0][0])
    assert recorded["bits"][0][0] == 22


def test_an_io_manager_stores_and_loads_cells_by_key(lake) -> None:
    lake.asset("cells", partitions=BOTH)
    io = lp.IOManager(lake)

    io.save("cells", ["2024-01-01|UA", "2024-01-02|AA"], rows((1, "UA", 1), (2, "AA", 2)).to_pandas())

    assert io.load("cells", "2024-01-02|AA", pa.Table)["x"].to_pylist() == [2]
    assert {key: frame["x"].tolist() for key, frame in io.load("cells", None, dict[str, pd.DataFrame]).items()} == {
        "2024-01-01|UA": [1],
        "2024-01-02|AA": [2],
    }


def test_the_command_line_names_cells_as_logs_do(lake, flights, capsys, monkeypatch) -> None:
    monkeypatch.delenv("LAKEPART_URL", raising=False)

    def called(*arguments: str) -> tuple[int, list[dict[str, object]]]:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if code == 0 else []

    def keys(text: str) -> list[object]:
        return [row["key"] for row in called("files", lake.url, "flights", text)[1]]

    assert keys("*|UA") == ["2024-01-01|UA", "2024-01-02|UA"]
    assert keys("2024-01-01|{UA,AA}") == ["2024-01-01|UA", "2024-01-01|AA"]
    assert keys("2024-01-02..|{UA,DL}") == ["2024-01-02|UA", "2024-01-03|DL"]
    assert keys("2024-01-01|UA,2024-01-03|DL") == ["2024-01-01|UA", "2024-01-03|DL"]
    assert keys("..2024-01-01") == ["2024-01-01|UA", "2024-01-01|AA"]
    assert called("status", lake.url, "flights", "2024-01-01|ZZ")[0] == 2
    assert called("status", lake.url, "flights", "2024-01-01|UA|x")[0] == 2


@pytest.mark.parametrize("text", ["2024-01-01|", "2024-01-01|{UA", "a|b|c", "..|UA", "2024-01-01||", "*|{}", "|"])
def test_text_of_another_form_is_refused(flights, text) -> None:
    with pytest.raises(lp.InvalidInputError):
        flights.select(text)


def test_a_selection_shows_itself_as_text_that_selects_it_again(flights) -> None:
    chosen = flights[["2024-01-01|UA", ("2024-01-02", ["UA", "DL"])]]

    assert repr(chosen) == "<Selection flights 2024-01-01|UA,2024-01-02|{UA,DL}>"
    assert flights.select("2024-01-01|UA,2024-01-02|{UA,DL}").status()["key"].tolist() == chosen.keys


def test_what_was_made_from_cells_of_the_same_key_is_stale_when_they_change(lake, flights) -> None:
    wide = lp.Multi(
        day=lp.Daily("2024-01-01", tz="America/New_York"),
        carrier=lp.Static(["UA", "AA", "DL", *(f"X{number}" for number in range(2_000))]),
    )

    @lp.producer("sums", partitions=wide, inputs={"flights": lp.Input("flights", lp.Identity())}, code_version="1")
    def sums(part, flights):
        return pa.table({"sum": [sum(flights.to_arrow()["x"].to_pylist())]})

    made = lake.register(sums)
    made["2024-01-01", ["UA", "AA"]].backfill(progress=False)
    assert made.to_arrow()["sum"].to_pylist() == [1, 2]

    flights.write(rows((1, "AA", 20)), "2024-01-01|AA")

    assert made.stale().keys == ["2024-01-01|AA"]
    made["2024-01-01":"2024-01-02", ["UA", "AA"]].backfill(progress=False, which="stale")
    assert made.to_arrow()["sum"].to_pylist() == [1, 20]
    assert made.stale().keys == []
