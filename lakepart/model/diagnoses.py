"""What ``doctor`` finds out about a machine and a lake: one sentence for each thing that it looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK = "ok"
NOTICE = "notice"
PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes
    ----------
    subject
        What: ``python``, ``sqlite``, ``catalog``, ``clock``, ``tier hot``, …
    severity
        ``ok``; ``notice``: worth knowing; ``problem``: data or commits can be lost, or something will fail.
    text
        The finding as a sentence, without secrets.
    hint
        The way out, where there is one.
    """

    subject: str
    severity: str
    text: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: {self.text}" + (f" Hint: {self.hint}" if self.hint else "")
