"""Worker threads for work orders, which can be given up on.

A thread that hangs cannot be ended, and the standard pools wait for theirs when the interpreter exits; these are
daemons, and one that overruns its time is replaced and no longer listened to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(slots=True)
class Workers(Generic[Task, Result]):
    """``count`` threads that turn tasks into results; tasks are told apart by the ticket they were given in with."""

    work: Callable[[Task], Result]
    count: int
    _tasks: SimpleQueue[tuple[int, Task] | None] = field(default_factory=SimpleQueue)
    _results: SimpleQueue[tuple[int, Result | BaseException]] = field(default_factory=SimpleQueue)
    _began: dict[int, float] = field(default_factory=dict)
    _given_up: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for _ in range(self.count):
            self._start_thread()

    def submit(self, ticket: int, task: Task) -> None:
        """Queue a task."""
        self._tasks.put((ticket, task))

    def withdraw(self) -> list[int]:
        """Take back the tasks that no thread has begun; gives their tickets."""
        tickets: list[int] = []
        while True:
            try:
                queued = self._tasks.get_nowait()
            except Empty:
                return tickets
            if queued is not None:
                tickets.append(queued[0])

    def next_result(self, timeout_s: float) -> tuple[int, Result] | None:
        """Wait for the next result of a task that was not given up; None after ``timeout_s``.

        What a task raised is raised here: tasks describe ordinary failures, so this is an interrupt.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                ticket, result = self._results.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                return None
            if ticket in self._given_up:
                continue
            if isinstance(result, BaseException):
                raise result
            return ticket, result

    def running_for(self) -> dict[int, float]:
        """Give the seconds that each task has been running; queued ones are not among them."""
        now = time.monotonic()
        with self._lock:
            return {ticket: now - began for ticket, began in self._began.items()}

    def give_up(self, ticket: int) -> None:
        """Stop listening to a task and put another thread in the place of the one it holds."""
        with self._lock:
            self._given_up.add(ticket)
            self._began.pop(ticket, None)
        self._start_thread()

    def stop(self) -> None:
        """Let threads end, and begin nothing new; what is running is not waited for."""
        self.withdraw()
        for _ in range(self.count):
            self._tasks.put(None)

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name="lakepart-worker", daemon=True).start()

    def _run(self) -> None:
        while (queued := self._tasks.get()) is not None:
            ticket, task = queued
            with self._lock:
                self._began[ticket] = time.monotonic()
            try:
                result: Result | BaseException = self.work(task)
            except BaseException as error:  # noqa: BLE001 - it would end this thread, and nobody would know
                result = error
            with self._lock:
                self._began.pop(ticket, None)
                replaced = ticket in self._given_up
            if replaced:
                return
            self._results.put((ticket, result))
