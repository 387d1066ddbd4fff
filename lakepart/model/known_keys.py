"""Keys of a dynamic dimension as the catalog has them: each with the id it got at first sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lakepart.model.intervals import Intervals


class KnownKey(NamedTuple):
    """One key; without ``expected_us``, the instant since which it is expected, it is there only if it has data."""

    id: int
    key: str
    expected_us: int | None = None


# Gives the keys of a dimension that somebody writes first: those that are new get ids, none is visible yet.
Reserve = Callable[[str, Sequence[str], int], Iterable[KnownKey]]


@dataclass(frozen=True)
class KnownKeys:
    """Keys and their ids, in the order of first sight.

    Examples
    --------
    >>> known = KnownKeys((KnownKey(0, "eu"), KnownKey(2, "us")))
    >>> known.ids["us"], known.keys[0], known.visible.ranges
    (2, 'eu', ((0, 1), (2, 3)))

    Attributes
    ----------
    entries
        Those there are.
    hidden
        Those that were removed, or reserved and never written: nobody can select them, but what was selected or noted
        before still has a name.
    """

    entries: tuple[KnownKey, ...] = ()
    hidden: tuple[KnownKey, ...] = ()

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each key."""
        return {key: at for at, key, _ in self.entries}

    @cached_property
    def keys(self) -> dict[int, str]:
        """The key of each id, of hidden ones too."""
        return {at: key for at, key, _ in (*self.entries, *self.hidden)}

    @cached_property
    def visible(self) -> Intervals:
        """The ids of all."""
        return Intervals.from_positions(np.fromiter((at for at, _, _ in self.entries), dtype=np.int64))

    @cached_property
    def named(self) -> Intervals:
        """The ids of all, of hidden ones too."""
        return Intervals.from_positions(self.keys)

    def expected(self, as_of_us: int) -> Intervals:
        """Give the ids of those that were expected at an instant."""
        found = (at for at, _, since_us in self.entries if since_us is not None and since_us <= as_of_us)
        return Intervals.from_positions(np.fromiter(found, dtype=np.int64))

    def only(self, keys: Iterable[str]) -> KnownKeys:
        """Keep those of ``keys``."""
        wanted = set(keys)
        return KnownKeys(tuple(entry for entry in self.entries if entry.key in wanted))

    def with_hidden(self) -> KnownKeys:
        """Take in those that are hidden, to read what was noted while they were there."""
        return KnownKeys((*self.entries, *self.hidden)) if self.hidden else self

    def with_reserved(self, more: Iterable[KnownKey]) -> KnownKeys:
        """Add keys that were not known."""
        return KnownKeys((*self.entries, *more), self.hidden)
