"""What is stale, and why.

A version is stale when its code version differs from its asset's current producer's, when a mapped input partition
has other content than the version read (partitions that appeared or vanished included), when it was written before
its window had closed, or when somebody marked it by hand. A version written with neither a producer nor ``inputs=``
can only be stale by being early or marked.
Staleness is not transitive: what stands on stale inputs is fresh, and says ``upstream-stale``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from lakepart.model.intervals import IntegerArray
from lakepart.model.records import InputRecord

BooleanArray = npt.NDArray[np.bool_]

MISSING_DIGEST = "missing"


class StaleKind(StrEnum):
    """Why a version no longer is what a new run would make."""

    CODE = "code"
    INPUT = "input"
    EARLY = "early"
    MARKED = "marked"
    UPSTREAM = "upstream-stale"  # a remark, not a reason: the version itself is fresh


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, in words a person understands."""

    kind: StaleKind
    text: str

    def __str__(self) -> str:
        return self.text


EARLY = Reason(StaleKind.EARLY, "early: written before the window was complete")


def is_stale(reasons: Iterable[Reason]) -> bool:
    """Say whether any of these is more than a remark."""
    return any(reason.kind is not StaleKind.UPSTREAM for reason in reasons)


def digest_of_contents(contents: Iterable[tuple[int, str]], *, one_to_one: bool = False) -> str:
    """Identify the contents of some input partitions, given as ``(ordinal, content id)`` in ordinal order.

    Where the mapping is one to one, the digest is the content id, so that this common input is compared without
    hashing. Elsewhere it matters which partition holds a content, even where there is only one.
    """
    listed = list(contents)
    if not listed:
        return MISSING_DIGEST
    if one_to_one:
        return listed[0][1]
    text = "\n".join(f"{ordinal}:{content}" for ordinal, content in listed)
    return hashlib.sha256(text.encode()).hexdigest()


def code_reason(written_by: str | None, current: str | None, *, has_lineage: bool) -> Reason | None:
    """Compare code versions; a version nobody produced is not judged by anybody's code."""
    if current is None or written_by == current or not (has_lineage or written_by is not None):
        return None
    return Reason(StaleKind.CODE, f"code version {written_by or 'unknown'}, now {current}")


def is_early(written_at_us: IntegerArray, window_end_us: IntegerArray, complete_after_us: int) -> BooleanArray:
    """Say of each version whether it was written before its window had closed and settled; :data:`EARLY` says so."""
    return written_at_us < window_end_us + complete_after_us


def marked_reason(mark: str | None) -> Reason | None:
    """Repeat what somebody said when marking the version by hand."""
    return None if mark is None else Reason(StaleKind.MARKED, f"marked: {mark}")


def input_reasons(inputs: Iterable[tuple[InputRecord, str]]) -> list[Reason]:
    """Name the inputs, given with their digests of now, whose mapped partitions have other content than was read."""
    return [Reason(StaleKind.INPUT, f"input {record.asset} changed") for record, now in inputs if now != record.digest]


def repartitioned_reason(record: InputRecord) -> Reason:
    """Say that what was read is in no partition of the input any more."""
    return Reason(StaleKind.INPUT, f"input {record.asset} was repartitioned")
