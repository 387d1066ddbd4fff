"""One line of the report: what was measured, beside what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import Timing
from lakepart.testing.proxies import Traffic


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound in ``unit``; figures are to stay at or below it, or, not ``at_most``, at or above it."""

    limit: float
    unit: str
    at_most: bool = True
    peer: str = ""

    def is_met(self, measured: float) -> bool:
        """Say whether a figure keeps the budget."""
        return measured <= self.limit if self.at_most else measured >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}{self.unit}{f' {self.peer}' if self.peer else ''}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement; without ``budget`` it is for information. ``traffic`` is that of one repetition."""

    row: str
    work: str
    measured: float
    unit: str
    budget: Budget | None = None
    timings: Mapping[str, Timing] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        return None if self.budget is None else self.budget.is_met(self.measured)

    @classmethod
    def within(cls, budget: Budget, row: str, work: str, measured: float, **more: Any) -> Figure:
        """Make a figure in the unit of its budget."""
        return cls(row, work, measured, budget.unit, budget, **more)

    def to_dict(self) -> dict[str, Any]:
        """Give the figure as JSON values, every repetition included."""
        return {
            "row": self.row,
            "work": self.work,
            "measured": self.measured,
            "unit": self.unit.strip(),
            "budget": None if self.budget is None else str(self.budget),
            "limit": None if self.budget is None else self.budget.limit,
            "met": self.met,
            "note": self.note,
            "seconds": {name: list(timing.seconds) for name, timing in self.timings.items()},
            "traffic": {
                name: {"requests": dict(one.requests), "bytes_up": one.bytes_up, "bytes_down": one.bytes_down}
                for name, one in self.traffic.items()
            },
        }
