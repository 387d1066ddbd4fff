"""The same work on S3 by lakepart and its peers, on tables by day: each as its documentation shows for speed.

All write one Zstandard file a day, may have sixteen requests under way, and give pandas frames of the rows as they are
now. Only lakepart and delta-rs publish what they write as a whole, and keep what was there before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa

import lakepart as lp
from lakepart.testing.s3_servers import S3Server

AT_ONCE = 16
_ONE_GROUP_ROWS = 1 << 20
_COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is made: an empty ``s3://bucket/prefix``, and a schema in PostgreSQL for what wants a catalog."""

    server: S3Server
    url: str
    by: str
    catalog: str


class Table(Protocol):
    """One table, cut by the days in a column; made empty, where that takes a step of its own."""

    name: str
    url: str

    def __init__(self, place: Place) -> None: ...

    def form(self, rows: pa.Table) -> Any:
        """Give rows in the form that it takes them in; this is not timed."""

    def load(self, rows: Any) -> None:
        """Write the first rows."""

    def replace(self, rows: Any, day: date) -> None:
        """Put ``rows`` in the place of those of one day."""

    def read(self, first: date, last: date) -> pd.DataFrame:
        """Give all columns of some days."""

    def scan(self, column: str) -> pd.DataFrame:
        """Give one column of everything."""


class Lakepart:
    """An asset; the catalog is in PostgreSQL, and its connections do not pass the proxy."""

    name = "lakepart"

    def __init__(self, place: Place) -> None:
        self.url = place.url
        lake = lp.create(place.url, catalog=place.catalog, storage_options=place.server.storage_options)
        self._asset = lake.asset("rows", partitions=lp.Daily("1992-01-01", by=place.by))

    def form(self, rows: pa.Table) -> pa.Table:
        return rows

    def load(self, rows: pa.Table) -> None:
        self._asset.write(rows)

    def replace(self, rows: pa.Table, day: date) -> None:
        self._asset.write(rows, day.isoformat())

    def read(self, first: date, last: date) -> pd.DataFrame:
        return self._days(first, last).to_pandas()

    def scan(self, column: str) -> pd.DataFrame:
        return self._asset.to_pandas(columns=[column])

    def paths(self) -> list[str]:
        """Give where each file is, in the order of the days: its bucket and key."""
        return [path.removeprefix("s3://") for path in self._asset.files()["path"]]

    def _days(self, first: date, last: date) -> lp.Selection:
        return self._asset[first.isoformat() : last.isoformat()]


class Hive:
    """Folders by day, written and found by ``pyarrow.dataset``: no transaction, nothing of before is kept."""

    name = "pyarrow hive"

    def __init__(self, place: Place) -> None:
        import pyarrow.dataset as ds

        self.url, self._by = place.url, place.by
        self._file_system = arrow_file_system(place.server)
        self._partitioning = ds.partitioning(pa.schema([(place.by, pa.date32())]), flavor="hive")

    def form(self, rows: pa.Table) -> pa.Table:
        return rows

    def load(self, rows: pa.Table) -> None:
        self._write(rows, "error")

    def replace(self, rows: pa.Table, day: date) -> None:  # noqa: ARG002 - the rows' own
        self._write(rows, "delete_matching")

    def read(self, first: date, last: date) -> pd.DataFrame:
        return read_dataset(self._found(), filter=between(self._by, first, last))

    def scan(self, column: str) -> pd.DataFrame:
        return read_dataset(self._found(), columns=[column])

    def _write(self, rows: pa.Table, existing: str) -> None:
        import pyarrow.dataset as ds

        ds.write_dataset(
            rows,
            self.url.removeprefix("s3://"),
            filesystem=self._file_system,
            format="parquet",
            file_options=ds.ParquetFileFormat().make_write_options(compression=_COMPRESSION),
            partitioning=self._partitioning,
            existing_data_behavior=existing,
            create_dir=False,
            min_rows_per_group=_ONE_GROUP_ROWS,
            max_rows_per_group=_ONE_GROUP_ROWS,
        )

    def _found(self) -> Any:
        import pyarrow.dataset as ds

        return ds.dataset(self.url.removeprefix("s3://"), filesystem=self._file_system, partitioning=self._partitioning)


class Delta:
    """A Delta table by delta-rs, opened once and brought up to date before each read."""

    name = "delta-rs"

    def __init__(self, place: Place) -> None:
        self.url, self._by = place.url, place.by
        self._options = {
            "AWS_ENDPOINT_URL": place.server.url,
            "AWS_ACCESS_KEY_ID": place.server.key,
            "AWS_SECRET_ACCESS_KEY": place.server.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        self._table: Any = None

    def form(self, rows: pa.Table) -> pa.Table:
        return rows

    def load(self, rows: pa.Table) -> None:
        self._write(self.url, rows, partition_by=[self._by], storage_options=self._options)

    def replace(self, rows: pa.Table, day: date) -> None:
        self._write(self._opened(), rows, mode="overwrite", predicate=f"{self._by} = '{day}'")

    def read(self, first: date, last: date) -> pd.DataFrame:
        return read_dataset(self._now(), filter=between(self._by, first, last))

    def scan(self, column: str) -> pd.DataFrame:
        return read_dataset(self._now(), columns=[column])

    def _write(self, table: Any, rows: pa.Table, **more: Any) -> None:
        from deltalake import WriterProperties, write_deltalake

        write_deltalake(table, rows, writer_properties=WriterProperties(compression=_COMPRESSION.upper()), **more)

    def _opened(self) -> Any:
        from deltalake import DeltaTable

        if self._table is None:
            self._table = DeltaTable(self.url, storage_options=self._options)
        return self._table

    def _now(self) -> Any:
        table = self._opened()
        table.update_incremental()
        return table.to_pyarrow_dataset()


class Wrangler:
    """Folders by day by awswrangler, which takes pandas frames: no transaction, nothing of before is kept."""

    name = "awswrangler"

    def __init__(self, place: Place) -> None:
        import awswrangler as wr
        import boto3

        wr.config.s3_endpoint_url = place.server.url
        self.url, self._by = place.url, place.by
        session = boto3.session.Session(
            aws_access_key_id=place.server.key,
            aws_secret_access_key=place.server.secret,
            region_name="us-east-1",
        )
        self._how = {"path": f"{self.url}/", "dataset": True, "use_threads": AT_ONCE, "boto3_session": session}

    def form(self, rows: pa.Table) -> pd.DataFrame:
        return rows.to_pandas()

    def load(self, rows: pd.DataFrame) -> None:
        self._write(rows, "append")

    def replace(self, rows: pd.DataFrame, day: date) -> None:  # noqa: ARG002 - the rows' own
        self._write(rows, "overwrite_partitions")

    def read(self, first: date, last: date) -> pd.DataFrame:
        import awswrangler as wr

        def is_wanted(names: dict[str, str]) -> bool:
            return str(first) <= names[self._by] <= str(last)

        return wr.s3.read_parquet(partition_filter=is_wanted, **self._how)

    def scan(self, column: str) -> pd.DataFrame:
        import awswrangler as wr

        return wr.s3.read_parquet(columns=[column], **self._how)

    def _write(self, rows: pd.DataFrame, mode: str) -> None:
        import awswrangler as wr

        with _quiet_wrangler():
            wr.s3.to_parquet(rows, partition_cols=[self._by], mode=mode, compression=_COMPRESSION, **self._how)


def arrow_file_system(server: S3Server) -> Any:
    """Give Arrow's own client, which may have as many requests under way as anybody."""
    from pyarrow.fs import S3FileSystem

    pa.set_io_thread_count(AT_ONCE)
    address = urlsplit(server.url)
    return S3FileSystem(
        access_key=server.key,
        secret_key=server.secret,
        endpoint_override=address.netloc,
        scheme=address.scheme,
        region="us-east-1",
        allow_delayed_open=True,  # a small file is one request
    )


def read_dataset(dataset: Any, **what: Any) -> pd.DataFrame:
    """Read a dataset of Arrow as others do: as many files at once."""
    return dataset.to_table(fragment_readahead=AT_ONCE, **what).to_pandas()


def between(by: str, first: date, last: date) -> Any:
    """Say of some days that a row is of them."""
    import pyarrow.compute as pc

    return (pc.field(by) >= first) & (pc.field(by) <= last)


@contextmanager
def _quiet_wrangler() -> Iterator[None]:
    """Keep from the report what pandas has to say of awswrangler's code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


TABLES: tuple[type[Table], ...] = (Lakepart, Hive, Delta, Wrangler)
