"""Work on S3, with and without a delay of each request: seconds, requests and bytes, beside peers and bare clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import data
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, Timing, ratio
from benchmarks.s3_tables import AT_ONCE, TABLES, Lakepart, Place, Table, arrow_file_system, read_dataset
from benchmarks.traffic import Meter
from benchmarks.workbench import Workbench
from lakepart.testing.proxies import Traffic
from lakepart.testing.s3_servers import S3Server

COMMIT = Budget(1.0, " requests", peer="more than files")  # one PUT a file, and one for the manifest
READ = Budget(0.0, " requests", peer="more than files")  # one GET for each of up to 1 MB: no LIST, no HEAD
COLUMN = "o_totalprice"
BARE_PUTS, BARE_READ = "bare PUTs", "bare pyarrow"  # of the files, and on the files, that lakepart makes
_BUCKET = "bench"


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time loads, replacements and reads of a year of orders, by everybody in turns."""
    meter = bench.s3
    meter.direct.make_bucket(_BUCKET)
    work = _Work(bench, meter)
    for delay_s in bench.delays_s:
        meter.delay(delay_s)
        for rounds in (work.load, work.replace, work.read, work.scan):
            measured = rounds()
            if delay_s == bench.delays_s[0]:  # it makes no difference to what is asked
                yield measured.within_budget()
            yield from measured.beside_others(delay_s)
    meter.delay(0)


@dataclass(frozen=True)
class _Measured:
    """One work by everybody: lakepart first, the barest last."""

    what: str
    files: int
    budget: Budget
    timings: Mapping[str, Timing]
    traffic: Mapping[str, Traffic]

    def within_budget(self) -> Figure:
        """Compare lakepart's requests with what they may be."""
        ours = self.traffic[Lakepart.name]
        more = ours.requests.total() - self.files
        return Figure.within(self.budget, "s3", f"requests to {self.what}", more, traffic={Lakepart.name: ours})

    def beside_others(self, delay_s: float) -> Iterator[Figure]:
        """Say how many times as long as the barest and as the quickest peer lakepart takes."""
        ours, *peers, barest = self.timings
        quickest = min(peers, key=lambda name: self.timings[name].median_s)
        for other, shown in ((barest, [ours, barest]), (quickest, [ours, *peers])):
            yield Figure(
                "s3",
                f"{self.what}, {1000 * delay_s:.0f} ms a request, beside {other}",
                ratio(self.timings[ours], self.timings[other]),
                "×",
                timings={name: self.timings[name] for name in shown},
                traffic={name: self.traffic[name] for name in shown},
            )


class _Work:
    """The work, and a loaded table of each kind to do it on."""

    def __init__(self, bench: Workbench, meter: Meter) -> None:
        self._bench, self._meter = bench, meter
        self._numbers = count()
        self._at_server = meter.direct.client()
        days = 12 if bench.quick else 366
        after = data.FIRST_DAY + timedelta(days=days)
        self._rows = bench.orders.filter(pc.less(bench.orders[data.BY], after))
        self._files = len(pc.unique(self._rows[data.BY]))
        self._some = range(days // 4, days // 4 + min(30, days // 2))
        self._tables = {kind.name: self._new(kind) for kind in TABLES}
        for table in self._tables.values():
            table.load(table.form(self._rows))
        self._bare = _bare_client(meter.server)

    def load(self) -> _Measured:
        """Load new tables."""
        forms = {name: table.form(self._rows) for name, table in self._tables.items()}
        tasks = {
            kind.name: Task(
                lambda table, name=kind.name: table.load(forms[name]), partial(self._new, kind), self._require_files
            )
            for kind in TABLES
        }
        bodies = self._bodies(range(self._files))
        tasks[BARE_PUTS] = Task(lambda _: self._put(bodies))
        what = f"load {self._rows.num_rows:,} rows into {self._files} days on S3"
        return self._measured(what, self._files, COMMIT, tasks, 3, warm_up=False)

    def replace(self) -> _Measured:
        """Replace one day by its own rows."""
        day = _day(self._some[0])
        rows = self._rows.filter(pc.equal(self._rows[data.BY], day))
        forms = {name: table.form(rows) for name, table in self._tables.items()}
        tasks = {
            name: Task(lambda _, name=name, table=table: table.replace(forms[name], day))
            for name, table in self._tables.items()
        }
        body = self._bodies(self._some[:1])
        tasks[BARE_PUTS] = Task(lambda _: self._put(body))
        what = f"replace one of {self._files} days on S3 ({rows.num_rows} rows)"
        return self._measured(what, 1, COMMIT, tasks, 15)

    def read(self) -> _Measured:
        """Read neighbouring days."""
        first, last = _day(self._some[0]), _day(self._some[-1])
        wanted = pc.sum(pc.is_in(self._rows[data.BY], pa.array([_day(one) for one in self._some]))).as_py()
        tasks = self._reading(lambda table: table.read(first, last), {}, self._some, wanted)
        what = f"read {len(self._some)} days from S3, all columns"
        return self._measured(what, len(self._some), READ, tasks, 9)

    def scan(self) -> _Measured:
        """Read one column of everything."""
        every = range(self._files)
        tasks = self._reading(lambda table: table.scan(COLUMN), {"columns": [COLUMN]}, every, self._rows.num_rows)
        return self._measured(f"scan one column of {self._files} days from S3", self._files, READ, tasks, 3)

    def _reading(
        self, read: Callable[[Table], Any], bare: Mapping[str, Any], days: range, rows: int
    ) -> dict[str, Task]:
        import pyarrow.dataset as ds

        def require_all(found: Any) -> None:
            if len(found) != rows:
                raise AssertionError(f"{len(found)} rows were read, not {rows}")

        paths = self._paths(days)
        file_system = arrow_file_system(self._meter.server)
        tasks = {name: Task(lambda _, table=table: require_all(read(table))) for name, table in self._tables.items()}
        tasks[BARE_READ] = Task(
            lambda _: require_all(read_dataset(ds.dataset(paths, filesystem=file_system, format="parquet"), **bare))
        )
        return tasks

    def _measured(
        self, what: str, files: int, budget: Budget, tasks: Mapping[str, Task], usual: int, *, warm_up: bool = True
    ) -> _Measured:
        repetitions, warm_up = self._bench.repetitions(usual), warm_up and not self._bench.quick
        timings, traffic = self._meter.take_turns(tasks, repetitions=repetitions, warm_up=warm_up)
        return _Measured(what, files, budget, timings, traffic)

    def _new(self, kind: type[Table]) -> Table:
        name = f"table{next(self._numbers)}"
        url, catalog = f"s3://{_BUCKET}/{name}", f"{self._bench.postgresql}&schema=s3_{name}"
        return kind(Place(self._meter.server, url, data.BY, catalog))

    def _paths(self, days: range) -> list[str]:
        """Give where lakepart's files of some days are."""
        table = self._tables[Lakepart.name]
        assert isinstance(table, Lakepart)
        return [table.paths()[day] for day in days]

    def _bodies(self, days: range) -> list[bytes]:
        """Give the bytes of lakepart's files of some days."""
        keys = [path.partition("/")[2] for path in self._paths(days)]
        return [self._at_server.get_object(Bucket=_BUCKET, Key=key)["Body"].read() for key in keys]

    def _put(self, bodies: list[bytes]) -> None:
        """Do what is left when somebody else has made the files."""
        folder = f"bare{next(self._numbers)}"

        def put(number: int) -> None:
            self._bare.put_object(Bucket=_BUCKET, Key=f"{folder}/{number}", Body=bodies[number])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(put, range(len(bodies))))

    def _require_files(self, table: Table) -> None:
        """Check that a table has a file a day: work of another size is not comparable."""
        pages = self._at_server.get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=_BUCKET, Prefix=f"{table.url.partition(_BUCKET)[2][1:]}/")
        files = sum(one["Key"].endswith(".parquet") for page in listed for one in page["Contents"])
        if files != self._files:
            raise AssertionError(f"{table.name} wrote {files} files of {self._files} days")


def _day(number: int) -> date:
    return data.FIRST_DAY + timedelta(days=number)


def _bare_client(server: S3Server) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name="us-east-1",
        config=Config(max_pool_connections=AT_ONCE),
    )
