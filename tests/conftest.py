"""A PostgreSQL server for the tests that want one, started by the first of them in each worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from lakepart.testing.postgresql import postgresql_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with postgresql_server() as address:
        yield address


@pytest.fixture(scope="session")
def new_schema(postgresql: str) -> Callable[[], str]:
    """Give the address of a place for one more lake at each call."""
    numbers = count()
    return lambda: f"{postgresql}&schema=lake_{next(numbers)}"
