"""Counting what passes between a program and its S3 server, by a proxy in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.managers import BaseManager
from statistics import median_low
from typing import Any

from benchmarks.measure import Task, Timing, take_turns
from lakepart.testing.proxies import Traffic, proxy_before
from lakepart.testing.s3_servers import S3Server


@dataclass(frozen=True, slots=True)
class Meter:
    """An S3 server that is asked through a proxy, by everybody alike.

    The proxy is Python: it takes part of a core from what is measured, for each request and each byte. In a process
    of its own it takes no turns with it.

    Attributes
    ----------
    server
        The server as what is measured finds it.
    direct
        The same without the proxy, to prepare and to look.
    """

    server: S3Server
    direct: S3Server
    _proxy: Any

    def delay(self, seconds: float) -> None:
        """Let every request wait from now on."""
        self._proxy.delay(seconds)

    def take_turns(
        self, tasks: Mapping[str, Task], *, repetitions: int, warm_up: bool = True
    ) -> tuple[dict[str, Timing], dict[str, Traffic]]:
        """Time the tasks in turns, and count the traffic of each: the median of the repetitions."""
        counted: dict[str, list[Traffic]] = {name: [] for name in tasks}
        watched = {name: self._watched(task, counted[name].append) for name, task in tasks.items()}
        timings = take_turns(watched, repetitions=repetitions, warm_up=warm_up)
        return timings, {name: _median(found[-repetitions:]) for name, found in counted.items()}

    def _watched(self, task: Task, note: Callable[[Traffic], None]) -> Task:
        def prepare() -> Any:
            prepared = task.prepare()
            self._proxy.take_traffic()  # of the preparation
            return prepared

        def clean_up(prepared: Any) -> None:
            note(self._proxy.take_traffic())
            task.clean_up(prepared)

        return Task(task.run, prepare, clean_up)


@contextmanager
def metered(server: S3Server) -> Iterator[Meter]:
    """Put a meter before a server for as long as the block lasts."""
    with _Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        proxy = manager.Proxy(server.url)
        yield Meter(replace(server, url=proxy.url()), server, proxy)


class _Served:
    """The proxy, as another process is asked for it: by calls alone."""

    def __init__(self, url: str) -> None:
        self._running = ExitStack()  # until the process ends
        self._proxy = self._running.enter_context(proxy_before(url))

    def url(self) -> str:
        return self._proxy.url

    def delay(self, seconds: float) -> None:
        self._proxy.delay_s = seconds

    def take_traffic(self) -> Traffic:
        return self._proxy.take_traffic()


class _Manager(BaseManager):
    """Starts the process."""


_Manager.register("Proxy", _Served)


def _median(counted: Sequence[Traffic]) -> Traffic:
    methods = {method for one in counted for method in one.requests}
    return Traffic(
        Counter({method: median_low(one.requests[method] for one in counted) for method in sorted(methods)}),
        median_low(one.bytes_up for one in counted),
        median_low(one.bytes_down for one in counted),
    )
