"""A small lake with a past, an input, a producer and a branch; and the proof that an action survives crashes on it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import Effects, clock_of, copied, crash_everywhere, frozen_lake, stray_files, with_effects

EVERYWHERE = os.environ.get("LAKEPART_LONG") == "1"
LEASE = timedelta(minutes=11)
LONG = timedelta(days=30)

Rows = dict[str, list[tuple[int, int]]]
Act = Callable[[lp.Lake], object]


def frame(*pairs: tuple[int, int]) -> pa.Table:
    days = [date(2024, 1, day) for day, _ in pairs]
    values = [value for _, value in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array(values, pa.int64())})


@lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"}, code_version="1")
def tens(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "value", pa.array([10 * value for value in table["value"].to_pylist()], pa.int64()))


@pytest.fixture(name="frame")
def give_frame() -> Callable[..., pa.Table]:
    return frame


@pytest.fixture
def producer() -> lp.Producer:
    return tens


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> lp.Lake:
    """Three partitions of ``numbers``, one of them rewritten; one of ``tens`` computed; a branch with two changes."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 1), (2, 2), (3, 3)))
    numbers.write(frame((3, 30)), "2024-01-03")
    lake.register(tens)
    lake.asset("tens")["2024-01-01"].backfill(progress=False)
    branch = lake.create_branch("draft").asset("numbers")
    branch.write(frame((1, 111)), "2024-01-01")
    branch.write(frame((4, 4)), "2024-01-04")
    return lake


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let processes die on S3 and PostgreSQL, too, wherever they die in a folder, if there is time for it."""
    only = metafunc.definition.get_closest_marker("in_a_folder")
    if EVERYWHERE and not only and "make" in metafunc.fixturenames and "crash_while" in metafunc.module.__name__:
        metafunc.parametrize("make", ["make_in_a_folder", "make_on_s3"], indirect=True)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Callable[[], lp.Lake]:
    """Give a copy of the template at each call."""
    made: Callable[[], lp.Lake] = request.getfixturevalue(getattr(request, "param", "make_in_a_folder"))
    return made


@pytest.fixture
def make_in_a_folder(template: lp.Lake, tmp_path: Any) -> Callable[[], lp.Lake]:
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


@pytest.fixture
def make_on_s3(template: lp.Lake, s3_environment: Any, s3_lakes: str, new_schema: Any) -> Callable[[], lp.Lake]:
    """Give a copy on S3 with its catalog in PostgreSQL, in the same schema as the one before."""
    place, numbers = f"{s3_lakes}/{token_hex(6)}", itertools.count()
    pattern, scratch = copied(template, f"{place}/pattern", catalog=new_schema()), new_schema()
    return lambda: copied(pattern, f"{place}/lake-{next(numbers)}", catalog=scratch)


@pytest.fixture
def lake(make: Callable[[], lp.Lake]) -> lp.Lake:
    return make()


def rows_of(lake: lp.Lake) -> Rows:
    """Read every asset that has rows whole: (day, value) of each row, as stored."""
    found = {}
    for asset in lake.assets():
        table = asset.to_arrow()
        if table.num_rows:
            days = [day.day for day in table["day"].to_pylist()]
            found[asset.name] = list(zip(days, table["value"].to_pylist(), strict=True))
    return found


@pytest.fixture(name="rows_of")
def give_rows_of() -> Callable[[lp.Lake], Rows]:
    return rows_of


@pytest.fixture
def assert_undamaged() -> Callable[..., None]:
    def judge(lake: lp.Lake, at: str = "") -> None:
        found = lake.check(checksums=True)
        assert [str(finding) for finding in found if finding.severity != "leftover"] == [], at

    return judge


@pytest.fixture
def assert_cleaned_up() -> Callable[..., None]:
    """Write once more, let time pass and vacuum: nothing may be left that the catalog has no row for."""

    def judge(lake: lp.Lake, at: str = "") -> None:
        clock_of(lake).advance(timedelta(minutes=1))  # those who died a moment ago might be writing their manifests
        lake.asset("numbers").write(frame((9, 9)), "2024-01-09")
        expected = rows_of(lake)
        for _ in range(2):  # what the first forgets is old enough to be deleted by the second
            clock_of(lake).advance(LONG)
            lake.vacuum()

        assert [str(finding) for finding in lake.check(checksums=True)] == [], at
        assert stray_files(lake) == set(), at
        assert rows_of(lake) == expected, at

    return judge


@pytest.fixture
def survives(make: Any, assert_undamaged: Any, assert_cleaned_up: Any) -> Callable[..., int]:
    """Prove that an action crashed anywhere is done whole or not at all, can be done again, and leaves no waste.

    ``choose`` picks some of its effects to crash at, from their names.
    """

    def prove(act: Act, when: Any, choose: Callable[[tuple[str, ...]], Iterable[int]] | None = None) -> int:
        before = rows_of(make())
        done = make()
        effects = Effects()
        first = _outcome(act, with_effects(done, effects))
        at = None if choose is None else choose(effects.names)
        after = rows_of(done)
        second = _outcome(act, done)

        crashes = 0
        for crashed in crash_everywhere(make, act, when=when, at=at):
            lake, at = crashed.lake, crashed.at
            found = rows_of(lake)
            assert found in (before, after), at
            assert_undamaged(lake, at)
            clock_of(lake).advance(LEASE)
            possible = [first] * (found == before) + [second] * (found == after)
            assert _outcome(act, lake) in possible, at
            assert_cleaned_up(lake, at)
            lake.close()
            crashes += 1
        return crashes

    return prove


def _outcome(act: Act, lake: lp.Lake) -> Rows | type[Exception]:
    try:
        act(lake)
    except lp.LakepartError as error:
        return type(error)
    return rows_of(lake)
