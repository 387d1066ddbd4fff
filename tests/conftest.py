"""Servers for the tests that want one, started by the first of them in each worker: PostgreSQL and S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from lakepart.testing.postgresql import postgresql_server
from lakepart.testing.s3_servers import S3Server, moto_server, seaweedfs_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with postgresql_server() as address:
        yield address


@pytest.fixture(scope="session")
def new_schema(postgresql: str) -> Callable[[], str]:
    """Give the address of a place for one more lake at each call."""
    numbers = count()
    return lambda: f"{postgresql}&schema=lake_{next(numbers)}"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """SeaweedFS: it decides who creates, and checks credentials and checksums."""
    with seaweedfs_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3_lakes(s3: S3Server) -> str:
    """The address of a bucket for stores and lakes that share nothing else."""
    return s3.make_bucket("lakes")


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """Moto: it knows archive classes and restores."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def moto_lakes(moto: S3Server) -> str:
    """The address of a bucket of it."""
    return moto.make_bucket("lakes")
