"""Which rows of a file match, and the others: by a filter, or by keys; a file is read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import InvalidInputError
from lakepart.parquet.filters import Filter, compile_filter
from lakepart.parquet.keys import KeyIndex
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import iter_batches
from lakepart.parquet.schemas import plain
from lakepart.parquet.statistics import Statistics


class Matcher(Protocol):
    """Says which rows are meant."""

    def can_be_in(self, statistics: Statistics) -> bool:
        """Tell whether a file with these statistics can hold one; True where they do not say."""
        ...

    def count(self, source: Source, schema: pa.Schema) -> int:
        """Count them in a file; reads only the columns that decide."""
        ...

    def others(self, source: Source, schema: pa.Schema) -> Iterator[pa.Table]:
        """Give the rows of a file that are not meant, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class FilterMatcher:
    """The rows for which a filter is true; those for which it is null are not meant."""

    given: Any
    compiled: Filter

    def can_be_in(self, statistics: Statistics) -> bool:
        """Tell whether a file with these statistics can hold a match."""
        return self.compiled.can_hold(statistics)

    def count(self, source: Source, schema: pa.Schema) -> int:
        """Count the matches of a file."""
        columns = list(self.compiled.columns) or schema.names[:1]
        return sum(
            batch.num_rows for batch in iter_batches([source], schema, columns=columns, filter=self.given, threads=1)
        )

    def others(self, source: Source, schema: pa.Schema) -> Iterator[pa.Table]:
        """Give the rows of a file that do not match."""
        matches = self.compiled.expression
        unmatched = ~(matches.is_valid() & matches)
        for batch in iter_batches([source], schema, threads=1):
            table = pa.Table.from_batches([batch]).filter(unmatched)
            if table.num_rows:
                yield table


@dataclass(slots=True)
class KeyMatcher:
    """The rows whose key is one of some; it remembers which keys it has met."""

    index: KeyIndex
    met: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.met = np.zeros(self.index.size, dtype=np.bool_)

    def can_be_in(self, statistics: Statistics) -> bool:
        """Tell whether a file with these statistics can hold one of the keys."""
        return self.index.can_be_in(statistics)

    def count(self, source: Source, schema: pa.Schema) -> int:
        """Count the rows of a file that have one of the keys."""
        rows = 0
        for batch in iter_batches([source], schema, columns=list(self.index.names), threads=1):
            found = self.index.find(pa.Table.from_batches([batch])).drop_null().to_numpy(zero_copy_only=False)
            self.met[found] = True
            rows += len(found)
        return rows

    def others(self, source: Source, schema: pa.Schema) -> Iterator[pa.Table]:
        """Give the rows of a file that have none of the keys."""
        for batch in iter_batches([source], schema, threads=1):
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.is_null(self.index.find(table)))
            if table.num_rows:
                yield table


def match_filter(given: Any, schema: pa.Schema) -> FilterMatcher:
    """Make a matcher of a filter as reads take it.

    Raises
    ------
    InvalidInputError
        It is missing, or does not fit the schema.
    """
    compiled = compile_filter(given, plain(schema))
    if compiled is None:
        raise InvalidInputError(
            "Rows are deleted by a filter, and none was given.",
            hint='filter=[("column", "==", value)]; to replace a whole partition, write it.',
        )
    return FilterMatcher(given, compiled)
