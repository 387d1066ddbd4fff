"""What the rows of the report share: a folder, sizes, the orders, and what is costly to make."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

import pyarrow as pa

import lakepart as lp
from benchmarks import data, synthetic
from benchmarks.contenders import Contender, contenders
from benchmarks.traffic import Meter, metered
from lakepart.testing.postgresql import postgresql_server
from lakepart.testing.s3_servers import seaweedfs_server


@dataclass
class Workbench:
    """Everything is made when it is first asked for, inside ``folder``."""

    folder: Path
    cache: Path
    quick: bool = False
    given_orders: Path | None = None
    _numbers: Iterator[int] = field(default_factory=count)
    _running: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Stop what runs, and remove the folder."""
        self._running.close()
        shutil.rmtree(self.folder)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of partitions that the catalog's costs are compared at."""
        return (100, 400) if self.quick else (1_000, 100_000, 1_000_000)

    @property
    def delays_s(self) -> tuple[float, ...]:
        """How long each request to S3 waits: a server beside us, and one in another place."""
        return (0.002,) if self.quick else (0.0, 0.030)

    def repetitions(self, usual: int) -> int:
        """Give how often something is timed."""
        return 1 if self.quick else usual

    @cached_property
    def orders(self) -> pa.Table:
        """The rows of TPC-H orders, or a few like them."""
        return data.make_few_orders() if self.quick else data.read_orders(self.cache, self.given_orders)

    @cached_property
    def orders_lake(self) -> lp.Lake:
        """A lake that holds the orders, a partition a day."""
        lake = lp.create(self.new_folder())
        lake.asset("orders", partitions=data.definition()).write(self.orders)
        return lake

    @cached_property
    def catalogs(self) -> dict[int, Path]:
        """Lakes of each of :attr:`sizes`, whose catalogs tell of files that nobody made."""
        return synthetic.grow(self.new_folder(), self.sizes)

    @cached_property
    def postgresql(self) -> str:
        """The address of a PostgreSQL server, which writes every commit to the disk."""
        return self._running.enter_context(postgresql_server(durable=True))

    @cached_property
    def s3(self) -> Meter:
        """A SeaweedFS server behind a meter."""
        server = self._running.enter_context(seaweedfs_server())
        return self._running.enter_context(metered(server))

    @cached_property
    def loaded_contenders(self) -> list[Contender]:
        """All contenders with a table of the orders each."""
        loaded = self.contenders(data.BY)
        for contender in loaded:
            contender.load(self.orders)
        return loaded

    def contenders(self, by: str) -> list[Contender]:
        """All contenders without a table yet."""
        folder = self.new_folder()
        folder.mkdir()
        return contenders(folder, by, self.postgresql)

    def new_folder(self) -> Path:
        """Name a folder that is not there yet."""
        return self.folder / str(next(self._numbers))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder, and remove it afterwards."""
        folder = self.new_folder()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
