"""Assets of several dimensions made from others, and others made from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pandas as pd
import pytest

import lakepart as lp

DAYS = lp.Daily("2024-01-01", end="2024-01-06", by="day")
FLIGHTS = lp.Multi(day=DAYS, carrier=lp.Static(["UA", "AA"], by="carrier"))


@pytest.fixture
def lake(tmp_path) -> Iterator[lp.Lake]:
    with lp.create(tmp_path / "lake") as lake:
        flights = lake.asset("flights", partitions=FLIGHTS)
        rows = [
            (date(2024, 1, 1) + timedelta(days=day), carrier, 10 * day) for day in range(5) for carrier in ("UA", "AA")
        ]
        flights.write(pd.DataFrame(rows, columns=["day", "carrier", "delay"]))
        yield lake


def sums(part, flights) -> pd.DataFrame:
    return pd.DataFrame({"sum": [int(flights.to_pandas()["delay"].sum())], "read": [",".join(flights.keys)]})


def read_by(asset: lp.Asset) -> dict[str, str]:
    frame = asset[:].to_pandas(key_column="_key")
    return dict(zip(frame["_key"], frame["read"], strict=True))


def test_a_day_is_made_from_its_cells_and_turns_stale_with_any_of_them(lake) -> None:
    daily = lake.register(
        lp.producer("daily", partitions=lp.Daily("2024-01-01", end="2024-01-06"), inputs={"flights": "flights"})(sums)
    )

    daily["2024-01-02":"2024-01-03"].backfill(progress=False)
    lake.asset("flights").write(
        pd.DataFrame({"day": [date(2024, 1, 2)], "carrier": ["AA"], "delay": [5]}), "2024-01-02|AA"
    )

    assert read_by(daily) == {"2024-01-02": "2024-01-02|UA,2024-01-02|AA", "2024-01-03": "2024-01-03|UA,2024-01-03|AA"}
    assert daily.stale().keys == ["2024-01-02"]


def test_a_carrier_is_made_from_all_its_days(lake) -> None:
    carriers = lake.register(
        lp.producer("carriers", partitions=lp.Static(["UA", "AA"]), inputs={"flights": "flights"})(sums)
    )

    carriers["AA"].backfill(progress=False)

    assert read_by(carriers) == {"AA": ",".join(f"2024-01-0{day}|AA" for day in range(1, 6))}


def test_a_cell_is_made_from_the_day_before_of_its_carrier(lake) -> None:
    mapping = lp.PerDimension({"day": ("day", lp.TimeOverlap(-1, -1)), "carrier": ("carrier", lp.Identity())})
    lagged = lake.register(
        lp.producer(
            "lagged",
            partitions=lp.Multi(day=lp.Daily("2024-01-01", end="2024-01-06"), carrier=lp.Static(["UA", "AA"])),
            inputs={"flights": lp.Input("flights", mapping=mapping)},
        )(sums)
    )

    lagged[["2024-01-02|UA", "2024-01-03|AA"]].backfill(progress=False)

    frame = lagged[["2024-01-02|UA", "2024-01-03|AA"]].to_pandas()
    assert frame["read"].tolist() == ["2024-01-01|UA", "2024-01-02|AA"]
    assert lagged["2024-01-02|UA"].needs()["flights"].keys == ["2024-01-01|UA"]
    assert lake.asset("flights")["2024-01-01|UA"].needed_by("lagged").keys == ["2024-01-02|UA"]


def test_a_cell_is_made_from_the_day_it_lies_in(lake) -> None:
    rates = lake.asset("rates", partitions=DAYS)
    rates.write(pd.DataFrame({"day": [date(2024, 1, 1)], "delay": [7]}))
    priced = lake.register(lp.producer("priced", partitions=FLIGHTS, inputs={"flights": "rates"})(priced_of))

    priced["2024-01-01"].backfill(progress=False)

    assert priced["2024-01-01"].to_pandas()["delay"].tolist() == [7, 7]
    assert priced["2024-01-01"].explain().query("about == 'made from'")["text"].str.contains("rates 2024-01-01").all()


def priced_of(part, flights) -> pd.DataFrame:
    return flights.to_pandas().assign(carrier=part.dimensions["carrier"])


def test_dimensions_that_do_not_suggest_a_mapping_are_refused_with_the_choices(lake) -> None:
    producer = lp.producer("hours", partitions=lp.Static(["x", "y"]), inputs={"flights": "flights"})(sums)

    with pytest.raises(lp.InvalidInputError, match="FromDimension"):
        lake.register(producer)
