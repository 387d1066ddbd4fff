"""Servers for the tests that want one, started by the first of them in each worker; and places for lakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import botocore.session
import pytest

from lakepart.testing.postgresql import postgresql_server
from lakepart.testing.proxies import Proxy, proxy_before
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
    """SeaweedFS: it decides who creates, and checks credentials and checksums.

    What botocore knows of AWS it reads for every client anew, which would be most of what a small test costs.
    """
    with seaweedfs_server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield server


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """A proxy before it, that counts, delays and lets the network fail."""
    with proxy_before(s3.url) as found:
        yield found


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


class Place(NamedTuple):
    """Where a lake may be made, or copied to."""

    url: str
    catalog: str | None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a place in a folder and on S3, unless it is marked to need no more than a folder."""
    if "place" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("in_a_folder")
        metafunc.parametrize("place", ["folder"] if only else ["folder", "s3"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder, with the catalog in it; or a prefix on S3, with the catalog in PostgreSQL."""
    if request.param == "folder":
        return Place(str(tmp_path / "lake"), None)
    place: Place = request.getfixturevalue("place_on_s3")
    return place


@pytest.fixture
def place_on_s3(s3_environment: pytest.MonkeyPatch, s3_lakes: str, new_schema: Callable[[], str]) -> Place:
    """A prefix on S3 and a schema in PostgreSQL, which the environment names for whoever connects."""
    catalog = new_schema()
    s3_environment.setenv("LAKEPART_CATALOG", catalog)
    return Place(f"{s3_lakes}/{token_hex(6)}", catalog)


@pytest.fixture
def s3_environment(s3: S3Server) -> Iterator[pytest.MonkeyPatch]:
    """Let programs find the server and its credentials where they look for those of AWS."""
    with pytest.MonkeyPatch.context() as patch:  # a test's own may be undone in its middle
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        yield patch
