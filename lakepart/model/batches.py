"""Working through many things some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Some = TypeVar("Some")


def in_batches(items: Iterable[Some], size: int) -> Iterator[list[Some]]:
    """Give lists of up to ``size`` items, in their order; no more than one is taken ahead."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
