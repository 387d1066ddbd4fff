"""The same work by lakepart, on either catalog, and by its peers: each as its documentation shows, on tables by day."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

import lakepart as lp

_TABLE = "rows"


@dataclass(frozen=True)
class Contender(ABC):
    """One table, cut by the days in column ``by``, in an empty folder; travels to other processes unopened."""

    folder: Path
    by: str

    @property
    @abstractmethod
    def name(self) -> str:
        """What the report calls it."""

    @property
    @abstractmethod
    def refusals(self) -> tuple[type[Exception], ...]:
        """What a write raises that lost against another writer."""

    @abstractmethod
    def load(self, rows: pa.Table) -> None:
        """Make the table, and write its first rows."""

    @abstractmethod
    def replace(self, rows: pa.Table, day: date) -> None:
        """Put ``rows`` in the place of those of one day."""

    @abstractmethod
    def append(self, rows: pa.Table) -> None:
        """Add rows."""

    @abstractmethod
    def plan(self, first: date, last: date) -> int:
        """Open the table afresh, and say in how many files the rows of some days are."""

    @abstractmethod
    def count_rows(self) -> int:
        """Count all rows."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Lakepart(Contender):
    """An asset; ``catalog`` is the address of a schema in PostgreSQL, or None for SQLite."""

    catalog: str | None = None

    @property
    def name(self) -> str:
        return f"lakepart on {'SQLite' if self.catalog is None else 'PostgreSQL'}"

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        return ()

    @cached_property
    def _asset(self) -> lp.Asset:
        return lp.connect(self.folder, catalog=self.catalog).asset(_TABLE)

    def load(self, rows: pa.Table) -> None:
        with lp.create(self.folder, catalog=self.catalog) as lake:
            lake.asset(_TABLE, partitions=lp.Daily("1992-01-01", by=self.by)).write(rows)

    def replace(self, rows: pa.Table, day: date) -> None:
        self._asset.write(rows, day.isoformat())

    def append(self, rows: pa.Table) -> None:
        self._asset.append(rows)

    def plan(self, first: date, last: date) -> int:
        with lp.connect(self.folder, catalog=self.catalog) as lake:
            return lake.asset(_TABLE)[first.isoformat() : last.isoformat()].plan_read().files

    def count_rows(self) -> int:
        return self._asset.count_rows()


@dataclass(frozen=True)
class Delta(Contender):
    """A Delta table written by delta-rs."""

    @property
    def name(self) -> str:
        return "delta-rs"

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        from deltalake.exceptions import CommitFailedError

        return (CommitFailedError,)

    @cached_property
    def _table(self) -> Any:
        from deltalake import DeltaTable

        return DeltaTable(self.folder)

    def load(self, rows: pa.Table) -> None:
        from deltalake import write_deltalake

        write_deltalake(self.folder, rows, partition_by=[self.by])

    def replace(self, rows: pa.Table, day: date) -> None:
        from deltalake import write_deltalake

        write_deltalake(self._table, rows, mode="overwrite", predicate=f"{self.by} = '{day}'")

    def append(self, rows: pa.Table) -> None:
        from deltalake import write_deltalake

        write_deltalake(self._table, rows, mode="append")

    def plan(self, first: date, last: date) -> int:
        from deltalake import DeltaTable

        chosen = [(self.by, ">=", str(first)), (self.by, "<=", str(last))]
        return len(DeltaTable(self.folder).file_uris(partition_filters=chosen))

    def count_rows(self) -> int:
        from deltalake import DeltaTable

        return int(DeltaTable(self.folder).count())


@dataclass(frozen=True)
class Iceberg(Contender):
    """An Iceberg table written by PyIceberg, its catalog in an SQLite file."""

    @property
    def name(self) -> str:
        return "PyIceberg"

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        from pyiceberg.exceptions import CommitFailedException
        from sqlalchemy.exc import OperationalError

        return (CommitFailedException, OperationalError)  # the second: SQLite is locked

    @property
    def _catalog(self) -> Any:
        from pyiceberg.catalog.sql import SqlCatalog

        return SqlCatalog("bench", uri=f"sqlite:///{self.folder}/catalog.db", warehouse=f"file://{self.folder}")

    @cached_property
    def _table(self) -> Any:
        return self._catalog.load_table(f"bench.{_TABLE}")

    def load(self, rows: pa.Table) -> None:
        self.folder.mkdir()
        catalog = self._catalog
        catalog.create_namespace("bench")
        table = catalog.create_table(f"bench.{_TABLE}", schema=rows.schema)
        with table.update_spec() as spec:
            spec.add_identity(self.by)
        table.append(rows)

    def replace(self, rows: pa.Table, day: date) -> None:
        from pyiceberg.expressions import EqualTo

        with _quiet_iceberg():
            self._table.refresh().overwrite(rows, overwrite_filter=EqualTo(self.by, day.isoformat()))

    def append(self, rows: pa.Table) -> None:
        with _quiet_iceberg():
            self._table.refresh().append(rows)

    def plan(self, first: date, last: date) -> int:
        from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual

        table = self._catalog.load_table(f"bench.{_TABLE}")
        chosen = And(GreaterThanOrEqual(self.by, first.isoformat()), LessThanOrEqual(self.by, last.isoformat()))
        return len(list(table.scan(row_filter=chosen).plan_files()))

    def count_rows(self) -> int:
        return int(self._table.refresh().scan().count())


@contextmanager
def _quiet_iceberg() -> Iterator[None]:
    """Keep from the report that a day had no rows yet, and that a commit was tried again."""
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Delete operation did not match", category=UserWarning)
        yield


def contenders(folder: Path, by: str, postgresql: str) -> list[Contender]:
    """Give all of them, lakepart's first, to be loaded into folders inside ``folder`` and a schema of its name."""
    return [
        Lakepart(folder / "sqlite", by),
        Lakepart(folder / "postgresql", by, f"{postgresql}&schema=bench_{folder.name}"),
        Delta(folder / "delta", by),
        Iceberg(folder / "iceberg", by),
    ]
