"""The copying of a move: files side by side, within limits, until something fails or somebody interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

from lakepart.engine.context import LakeContext
from lakepart.engine.side_by_side import do_all
from lakepart.model.catalog_records import MoveFileRecord, MoveRecord
from lakepart.model.move_limits import MoveLimits
from lakepart.storage.copying import copy_file
from lakepart.storage.locations import paced
from lakepart.storage.pacing import Pace

OnCopied = Callable[[int, int], None]  # bytes and files copied since it was last called


class Copier:
    """Copies the files of moves on threads of its own, which end with its block."""

    def __init__(self, context: LakeContext, limits: MoveLimits) -> None:
        self._stopped = threading.Event()
        self._bandwidth = Pace(limits.bytes_per_s, sleep=self._stopped.wait)
        self._stores = dict(context.stores)
        if limits.requests_per_s is not None:
            requests = Pace(limits.requests_per_s, sleep=self._stopped.wait)
            self._stores = {tier: paced(store, requests) for tier, store in self._stores.items()}
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="lakepart-move")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def copy(self, moves: Sequence[MoveRecord], on_copied: OnCopied, *, meanwhile: Callable[[], object]) -> None:
        """Copy the files of moves, prove what arrived, and make its names durable.

        When one fails, those beside it are given up where they are, however slowly they may go.
        """
        files = [(file, move.to_tier) for move in moves for file in move.files]
        do_all(
            self._pool,
            [partial(self._copy_one, *one, on_copied) for one in files],
            meanwhile=meanwhile,
            on_failure=self._stopped.set,
        )
        for tier in sorted({to_tier for _, to_tier in files}):
            self._stores[tier].make_durable([file.path for file, to_tier in files if to_tier == tier])

    def _copy_one(self, file: MoveFileRecord, to_tier: str, on_copied: OnCopied) -> None:
        told = 0

        def on_bytes(count: int) -> None:
            nonlocal told
            self._go_on()
            told += count
            on_copied(count, 0)

        copy_file(
            self._stores[file.from_tier],
            file.path,
            self._stores[to_tier],
            file.path,
            expected_checksum=file.checksum,
            pace=self._pace,
            on_bytes=on_bytes,
        )
        on_copied(file.size_bytes - told, 1)

    def _pace(self, count: int) -> None:
        self._bandwidth.take(count)
        self._go_on()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


class _Stopped(Exception):  # noqa: N818 - nobody sees it: what stopped the others is raised
    """Ends a copy because another one failed, or the program was interrupted."""
