"""Progress on stderr: a bar on a terminal, one closing line elsewhere, nothing where it is not wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from lakepart.model.compact_plans import CompactPlan
from lakepart.model.plans import TieringPlan, VacuumPlan, count_of, format_bytes

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Counts(Protocol):
    """How far a backfill is, in partitions."""

    @property
    def total(self) -> int:
        """Partitions to compute."""

    @property
    def done(self) -> int:
        """Computed."""

    @property
    def failed(self) -> int:
        """Given up on."""

    @property
    def running(self) -> int:
        """Being computed."""


@contextmanager
def backfill_bar(name: str, *, shown: bool) -> Iterator[Callable[[Counts], None]]:
    """Show how far a backfill is; the callable takes its counts whenever they change."""
    if not shown:
        yield _ignore_counts
        return
    latest: list[Counts] = []
    with _bar(f"backfill {name}", "{task.completed:,.0f}/{task.total:,.0f}{task.fields[note]}") as bar:

        def on_progress(counts: Counts) -> None:
            latest[:] = [counts]
            note = f", {counts.failed:,} failed" if counts.failed else ""
            bar.show(total=counts.total, completed=counts.done + counts.failed, note=note)

        bar.closing = lambda: _describe(latest[-1]) if latest and latest[-1].total else ""
        yield on_progress


@contextmanager
def move_bar(plan: TieringPlan, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how much of a tiering plan is copied; the callable takes bytes and files copied since it was last called."""
    title, files = f"move {count_of(len(plan.moves), 'partition')}", sum(len(move.files) for move in plan.moves)
    with _bytes_bar(title, plan.size_bytes, "copied", files, shown=shown and bool(plan.moves)) as on_progress:
        yield on_progress


@contextmanager
def compact_bar(plan: CompactPlan, *, shown: bool) -> Iterator[_OnBytes]:
    """Show how much of a plan is compacted; the callable takes the bytes merged since it was last called."""
    title = f"compact {count_of(plan.partitions, 'partition')}"
    with _bytes_bar(title, plan.size_bytes, "merged", shown=shown and not plan.is_empty) as on_progress:
        yield on_progress


class _OnBytes(Protocol):
    """Takes what was done since it was last called."""

    def __call__(self, more_bytes: int, more_files: int = 0, /) -> None: ...


@contextmanager
def _bytes_bar(title: str, total: int, done: str, files: int | None = None, *, shown: bool) -> Iterator[_OnBytes]:
    """Show bytes and their rate; and files, where it is known how many there are."""
    if not shown:
        yield _ignore_bytes
        return
    bytes_so_far, files_so_far, lock = 0, 0, Lock()

    def counts(doing: str = "") -> str:
        counted = f", {files_so_far:,} of {count_of(files, 'file')}" if files is not None else ""
        return f"{format_bytes(bytes_so_far)} of {format_bytes(total)}{doing}{counted}"

    with _bar(title, "{task.fields[note]}", rate=True) as bar:

        def on_progress(more_bytes: int, more_files: int = 0, /) -> None:
            nonlocal bytes_so_far, files_so_far
            with lock:  # files are worked on side by side
                bytes_so_far += more_bytes
                files_so_far += more_files
                bar.show(total=total, completed=bytes_so_far, note=counts())

        bar.closing = lambda: counts(f" {done}")
        on_progress(0)
        yield on_progress


@contextmanager
def vacuum_bar(plan: VacuumPlan, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how much of a vacuum is done; the callable takes the files and bytes deleted since it was last called."""
    if not shown or not plan.files:
        yield _ignore_files
        return
    files = size_bytes = 0
    total = len(plan.files)
    with _bar("vacuum", "{task.fields[note]}") as bar:

        def on_progress(deleted: int, freed: int) -> None:
            nonlocal files, size_bytes
            files, size_bytes = files + deleted, size_bytes + freed
            bar.show(total=total, completed=files, note=f"{files:,} of {count_of(total, 'file')}")

        bar.closing = lambda: f"{count_of(files, 'file')} deleted, {format_bytes(size_bytes)} freed"
        on_progress(0, 0)
        yield on_progress


@contextmanager
def spinner(title: str, *, shown: bool) -> Iterator[None]:
    """Show that something of unknown length is under way; on a terminal alone."""
    if not shown:
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if not _can_redraw(console):
        yield
        return
    with console.status(escape(title)):
        yield


def _nothing_to_say() -> str:
    return ""


@dataclass(slots=True)
class _Bar:
    title: str
    progress: Progress | None
    closing: Callable[[], str] = field(default=_nothing_to_say)

    def show(self, *, total: int, completed: int, note: str = "") -> None:
        if self.progress is None:
            return
        if not self.progress.task_ids:
            self.progress.add_task(self.title, total=total, completed=completed, note=note)
        else:
            self.progress.update(self.progress.task_ids[0], total=total, completed=completed, note=note)


@contextmanager
def _bar(title: str, counts: str, *, rate: bool = False) -> Iterator[_Bar]:
    from rich.console import Console

    console = Console(stderr=True)
    began = time.monotonic()
    if _can_redraw(console):
        with _progress(console, counts, rate=rate) as progress:
            yield _Bar(title, progress)
        return
    bar = _Bar(title, None)
    try:
        yield bar
    finally:
        closing = bar.closing()
        if closing:
            line = f"{title}: {closing} in {time.monotonic() - began:.1f} s"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _progress(console: Console, counts: str, *, rate: bool) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(counts, markup=False),
        *([TransferSpeedColumn()] if rate else []),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _can_redraw(console: Console) -> bool:
    if console.is_jupyter:  # rich draws bars there as widgets, and warns at every bar where there are none
        from importlib.util import find_spec

        return find_spec("ipywidgets") is not None
    return console.is_terminal and not console.is_dumb_terminal


def _describe(counts: Counts) -> str:
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    return f"{counts.done:,} of {count_of(counts.total, 'partition')} done{failed}"


def _ignore_counts(_: Counts) -> None:
    return None


def _ignore_bytes(_bytes: int, _files: int = 0, /) -> None:
    return None


def _ignore_files(_files: int, _bytes: int) -> None:
    return None
