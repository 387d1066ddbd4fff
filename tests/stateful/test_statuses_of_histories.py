"""Staleness after random histories: what the catalog answers in columns, against the rules said of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lakepart as lp
from lakepart.testing import clock_of, memory_lake

START = date(2024, 1, 1)
NOON = datetime(2024, 1, 3, 12, tzinfo=UTC)
DEFINITION = lp.Daily(START.isoformat(), by="day")
KEYS = [(START + timedelta(days=day)).isoformat() for day in range(5)]
ERROR = "ValueError: out of luck"


@dataclass
class Version:
    content: int
    code: str | None
    written_at: datetime
    read: dict[str, int | None] | None = None
    mark: str | None = None


@dataclass
class Partition:
    version: Version | None = None
    failed: bool = False


class History:
    """A lake of ``raw`` and of ``made`` from it, and what its partitions should be."""

    def __init__(self, folder: str) -> None:
        self.lake = memory_lake(folder, at=NOON)
        self.partitions = {asset: {key: Partition() for key in KEYS} for asset in ("raw", "made")}
        self.codes: dict[str, str | None] = {"raw": None, "made": None}
        for asset in self.partitions:
            self.lake.asset(asset, partitions=DEFINITION)

    def apply(self, action: str, asset: str, key: str, content: int, code: str | None) -> None:
        clock_of(self.lake).advance(timedelta(hours=5))
        getattr(self, action)(asset, key, content, code)

    def write(self, asset: str, key: str, content: int, code: str | None) -> None:
        self.lake.asset(asset).write(rows(key, content), key, code_version=code)
        self._wrote(asset, key, Version(content, code, self._now))

    def derive(self, asset: str, key: str, content: int, code: str | None) -> None:
        listed = KEYS[:2] if content == 2 else [key]
        read = {one: self._content("raw", one) for one in listed}
        self.lake.asset("made").write(
            rows(key, content), key, inputs={"raw": self.lake.asset("raw")[listed]}, code_version=code
        )
        self._wrote("made", key, Version(content, code, self._now, read))

    def compute(self, asset: str, key: str, content: int, code: str | None) -> None:
        self._backfill(key, lambda part, raw: rows(key, content))
        self._wrote("made", key, Version(content, None, self._now, {key: self._content("raw", key)}))

    def fail(self, asset: str, key: str, content: int, code: str | None) -> None:
        def unlucky(part, raw):
            raise ValueError("out of luck")

        try:
            self._backfill(key, unlucky)
        except lp.BackfillError:
            self.partitions["made"][key].failed = True

    def register(self, asset: str, key: str, content: int, code: str | None) -> None:
        self.codes[asset] = code
        self.lake.register(lp.producer(asset, partitions=DEFINITION, code_version=code)(lambda part: None))

    def mark(self, asset: str, key: str, content: int, code: str | None) -> None:
        self.lake.asset(asset)[[key]].mark_stale(f"mark {content}")
        version = self.partitions[asset][key].version
        if version is not None:
            version.mark = f"mark {content}"

    def _backfill(self, key: str, function) -> None:
        self.lake.asset("made")[key].backfill(
            function, inputs={"raw": "raw"}, which="all", publish="each", retries=0, progress=False
        )

    def _wrote(self, asset: str, key: str, version: Version) -> None:
        self.partitions[asset][key] = Partition(version)

    @property
    def _now(self) -> datetime:
        return clock_of(self.lake)()

    def _content(self, asset: str, key: str) -> int | None:
        version = self.partitions[asset][key].version
        return None if version is None else version.content

    # The rules, of one partition

    def has_elapsed(self, key: str) -> bool:
        return end_of(key) <= self._now

    def reasons(self, asset: str, key: str) -> list[str]:
        version = self.partitions[asset][key].version
        if version is None:
            return []
        found, current = [], self.codes[asset]
        judged_by_code = version.code is not None or version.read is not None
        if current is not None and judged_by_code and version.code != current:
            found.append(f"code version {version.code or 'unknown'}, now {current}")
        if version.written_at < end_of(key):
            found.append("early: written before the window was complete")
        if version.mark is not None:
            found.append(f"marked: {version.mark}")
        if version.read is not None:
            if any(self._content("raw", one) != content for one, content in version.read.items()):
                found.append("input raw changed")
            if any(self.reasons("raw", one) for one in version.read):
                found.append("upstream-stale: raw")
        return found

    def expected(self, asset: str, key: str) -> dict[str, object]:
        partition, reasons = self.partitions[asset][key], self.reasons(asset, key)
        version = partition.version
        if version is None:
            data = "missing"
        elif set(reasons) - {"upstream-stale: raw"}:
            data = "stale"
        else:
            data = "fresh" if version.content else "empty"
        return {
            "key": key,
            "state": "failed" if partition.failed else data,
            "data": data,
            "work": "failed" if partition.failed else None,
            "reasons": "; ".join(reasons),
            "rows": version and version.content,
            "tier": "hot" if version and version.content else "",
            "code_version": version and version.code,
            "error": ERROR if partition.failed else None,
        }


def end_of(key: str) -> datetime:
    return datetime.fromisoformat(key).replace(tzinfo=UTC) + timedelta(days=1)


def rows(key: str, count: int) -> pa.Table:
    return pa.table({"day": pa.array([date.fromisoformat(key)] * count, pa.date32())})


steps = st.tuples(
    st.sampled_from(["write", "write", "derive", "derive", "compute", "fail", "register", "mark"]),
    st.sampled_from(["raw", "made"]),
    st.sampled_from(KEYS),
    st.integers(0, 2),
    st.sampled_from([None, "1", "2"]),
)


@example([("write", "made", KEYS[0], 1, None), ("register", "made", KEYS[0], 0, "1")])  # nobody's code judges it
@example([("derive", "made", KEYS[0], 1, None), ("register", "made", KEYS[0], 0, "1")])
@example([("fail", "made", KEYS[0], 0, None), ("write", "made", KEYS[0], 1, None)])
@example([("write", "made", KEYS[0], 0, None), ("fail", "made", KEYS[0], 0, None), ("fail", "made", KEYS[4], 0, None)])
@example([("write", "raw", KEYS[2], 1, None), ("derive", "made", KEYS[2], 1, None), ("mark", "raw", KEYS[2], 1, None)])
@settings(deadline=None, max_examples=30)
@given(st.lists(steps, min_size=1, max_size=15))
def test_columns_say_of_each_partition_what_the_rules_say_of_it_alone(history):
    with TemporaryDirectory() as folder:
        told = History(folder)
        for step in history:
            told.apply(*step)

        for asset in ("raw", "made"):
            expected = [told.expected(asset, key) for key in KEYS]
            handle = told.lake.asset(asset)
            frame = handle[KEYS[0] : KEYS[-1]].status().astype(object)
            shown = frame[list(expected[0])].where(frame.notna(), None).to_dict("records")
            assert shown == expected
            assert handle.stale().keys == [row["key"] for row in expected if row["data"] == "stale"]
            listed = [row for row in expected if row["data"] != "missing" or told.has_elapsed(row["key"])]
            assert handle.failed().keys == [row["key"] for row in listed if row["work"]]
            assert handle.missing().keys == [row["key"] for row in listed if row["data"] == "missing"]
            assert handle.keys == [row["key"] for row in expected if row["data"] != "missing"]
        told.lake.close()
