"""How the demo speaks: what happens, which Python call does it, and what came of it."""

from __future__ import annotations

import sys
import textwrap
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakepart.cli.output import console, say
from lakepart.display.progress import spinner

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells people, or, where it is not ``shown``, only notes the facts for programs."""

    shown: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    def title(self, text: str) -> None:
        """Begin a step."""
        if self.shown:
            console().print(f"\n{text}", style="bold", markup=False, soft_wrap=True)
            sys.stdout.flush()

    def code(self, text: str) -> None:
        """Show the Python calls that do it."""
        if self.shown:
            lines = textwrap.dedent(text).strip().splitlines()
            told = "\n".join(f"  {'...' if line[:1].isspace() else '>>>'} {line}".rstrip() for line in lines)
            console().print(told, style="cyan", markup=False, soft_wrap=True)

    def say(self, text: object) -> None:
        """Say what came of it."""
        if self.shown:
            say(textwrap.indent(str(text), "  "))

    def show(self, frame: pd.DataFrame, *, most: int | None = None) -> None:
        """Show a frame as a table."""
        if self.shown:
            from lakepart.display.tables import print_frame

            print_frame(console(), frame, most=most, indent=2)

    def working(self, text: str) -> AbstractContextManager[None]:
        """Show that something is under way."""
        return spinner(text, shown=self.shown)
