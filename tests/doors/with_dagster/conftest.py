"""A lake that Dagster reads and writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lakepart as lp
from lakepart.dagster import LakepartIOManager


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch) -> None:
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")


@pytest.fixture
def lake(place) -> Iterator[lp.Lake]:
    with lp.create(place.url, catalog=place.catalog) as lake:
        yield lake


@pytest.fixture
def manager(lake) -> LakepartIOManager:
    return LakepartIOManager(url=lake.url)
