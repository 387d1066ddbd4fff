"""End a process, in pretence, before or after any one of its effects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from lakepart.errors import InvalidInputError

When = Literal["before", "after"]


class Crash(BaseException):
    """The pretended death of a process: no ``except Exception`` can swallow it."""


class Effects:
    """Counts the effects that a program has on the world, and can crash it at one of them.

    The crashing stores and catalogs of this kit share one ``Effects``, so effects on storage and catalog are counted
    in one order. After a crash every further effect raises :class:`Crash` too, in any thread: a dead process does
    nothing. Run once without a crash and look at :attr:`names` to learn how many effects there are.

    Examples
    --------
    >>> effects = Effects()
    >>> effects.crash_at(1, when="before")
    >>> with effects.effect("put a"):
    ...     pass
    >>> with effects.effect("put b"):
    ...     print("never printed")
    Traceback (most recent call last):
    lakepart.testing.effects.Crash: before effect 1: put b
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._fatal: int | None = None
        self._when: When = "before"
        self._interrupted: tuple[int, When] | None = None
        self._last_words: str | None = None
        self._meanwhile: tuple[int, Callable[[], object]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The effects so far, in the order in which they began."""
        with self._lock:
            return tuple(self._names)

    @property
    def crashed(self) -> bool:
        """Whether the crash has happened."""
        return self._last_words is not None

    @property
    def last_words(self) -> str | None:
        """At which effect the crash happened; None as long as it has not."""
        return self._last_words

    def crash_at(self, index: int, when: When = "before") -> None:
        """Crash at the effect number ``index``, counted from 0 at the first effect of this object.

        ``"before"`` it has happened (or half-way, where an effect can be torn), or ``"after"`` it has happened
        completely but nobody was told.
        """
        with self._lock:
            if index < len(self._names):
                raise InvalidInputError(
                    f"Effect {index} is over: {len(self._names)} effects have happened.",
                    hint="effects are counted from 0 at the first one; len(effects.names) is the next.",
                )
            self._fatal, self._when = index, when

    def interrupt_at(self, index: int, when: When = "before") -> None:
        """Raise ``KeyboardInterrupt`` at the effect number ``index``, once; the program lives on and may clean up."""
        self._interrupted = (index, when)

    def meanwhile(self, index: int, action: Callable[[], object]) -> None:
        """Do ``action`` right before the effect number ``index``, as another process might."""
        self._meanwhile = (index, action)

    @property
    def met(self) -> bool:
        """Whether what was to happen :meth:`meanwhile` has happened, or nothing was."""
        return self._meanwhile is None

    def approach(self) -> None:
        """Say that the next effect is about to begin: a transaction does before it takes its lock."""
        with self._lock:
            if self._meanwhile is None or self._meanwhile[0] != len(self._names):
                return
            action, self._meanwhile = self._meanwhile[1], None
        action()

    @contextmanager
    def effect(self, name: str, *, approached: bool = False) -> Iterator[None]:
        """Bracket one effect; the block is left out if the crash comes before it.

        What was ``approached`` before has had its meeting: a transaction that holds its lock can meet nobody.
        """
        if not approached:
            self.approach()
        index = self._begin(name)
        yield
        self._end(index, name)

    def check_alive(self) -> None:
        """Raise :class:`Crash` if the crash has happened; for what is no effect but a dead process cannot do."""
        if self._last_words is not None:
            raise Crash(self._last_words)

    def _begin(self, name: str) -> int:
        with self._lock:
            self.check_alive()
            index = len(self._names)
            self._names.append(name)
            if index == self._fatal and self._when == "before":
                self._last_words = f"before effect {index}: {name}"
            self.check_alive()
        self._interrupt(index, "before")
        return index

    def _end(self, index: int, name: str) -> None:
        with self._lock:
            if index == self._fatal and self._last_words is None:
                self._last_words = f"after effect {index}: {name}"
            self.check_alive()
        self._interrupt(index, "after")

    def _interrupt(self, index: int, when: When) -> None:
        if (index, when) == self._interrupted:
            raise KeyboardInterrupt(f"{when} effect {index}")
