"""Restoring: asking that archived files be readable for some days. Nothing is moved, and the catalog does not change.

Which files are offline is asked of the store, of every file, because the catalog knows only where it put them. So it
also helps where a lifecycle rule archived files behind its back, and asking twice costs nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakepart.engine.context import View, require_writable
from lakepart.engine.home import Home
from lakepart.engine.offline import look_at
from lakepart.engine.read import resolve
from lakepart.errors import InvalidInputError, did_you_mean
from lakepart.model.archives import FOR_GOOD, RESTORE_HOURS, SPEEDS, AvailabilityState
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, format_bytes
from lakepart.model.records import AssetRecord
from lakepart.model.restore_plans import RestoreFile, RestorePlan, restore_remarks
from lakepart.storage.base import Archive

_THREADS = 32  # they wait for the network
_SLOWEST = SPEEDS[-1]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore came to, in files.

    Attributes
    ----------
    asked
        Files whose restore was asked for now, of ``bytes`` together.
    restoring
        Files that are being restored since earlier.
    readable
        Files that can be read already, the first of them until ``until`` (None: for good).
    """

    asked: int
    bytes: int
    restoring: int = 0
    readable: int = 0
    until: datetime | None = None

    def __str__(self) -> str:
        asked = f"Asked for {count_of(self.asked, 'file')}, {format_bytes(self.bytes)}."
        return "\n".join([asked, *restore_remarks(self.restoring, self.readable, self.until)])


def plan_restore(home: Home, asset: AssetRecord, partitions: PartitionSet, *, days: int, speed: str) -> RestorePlan:
    """Look at the files of some partitions and say which of them to ask for; a request for each file."""
    if not isinstance(days, int) or days < 1:
        raise InvalidInputError(f"days={days!r} is no whole number of days, at least one.")
    if speed not in SPEEDS:
        raise InvalidInputError(f"speed={speed!r} is no speed of restores.", hint=did_you_mean(speed, SPEEDS))
    context = home.context
    resolved = resolve(context, home.view, asset, partitions, explicit=False)
    files = [(key, file) for key, file in resolved.keyed_files if isinstance(context.stores[file.tier], Archive)]
    wanted_until = context.clock() + timedelta(days=days)
    asked: list[RestoreFile] = []
    ends: list[datetime] = []
    restoring = gone = 0
    for one in look_at(context.stores, files):
        found = None if one.stored is None else one.stored.availability
        gone += one.stored is None
        if found is None or found.archive is None:
            continue
        # a second restore of the slowest speed would only be refused; a faster one takes the place of the first
        if found.state is AvailabilityState.RESTORING and speed == _SLOWEST:
            restoring += 1
        elif found.until is not None and found.until >= wanted_until:  # days count from now: that could shorten it
            ends.append(found.until)
        else:
            file = one.file
            asked.append(RestoreFile(one.key, file.tier, file.path, file.size_bytes, found.archive))
    _check_speed(speed, asked)
    readable = len(resolved.files) - len(asked) - restoring - gone
    return RestorePlan(
        asset.name, resolved.snapshot, days, speed, tuple(asked), restoring, readable, min(ends, default=None)
    )


def apply_restore(home: Home, plan: RestorePlan) -> RestoreReport:
    """Ask for the files of a plan, side by side; a request each. Safe to call again."""
    context = home.context
    require_writable(context, View(), "restore files")

    def ask(file: RestoreFile) -> bool:
        store = context.stores[file.tier]
        days = None if file.archive in FOR_GOOD else plan.days
        return isinstance(store, Archive) and store.restore(file.path, days=days, speed=plan.speed)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-restore") as pool:
        accepted = [file for file, taken in zip(plan.files, pool.map(ask, plan.files), strict=True) if taken]
    return RestoreReport(
        asked=len(accepted),
        bytes=sum(file.size_bytes for file in accepted),
        restoring=plan.restoring + len(plan.files) - len(accepted),
        readable=plan.readable,
        until=plan.readable_until,
    )


def _check_speed(speed: str, files: Sequence[RestoreFile]) -> None:
    for archive in dict.fromkeys(file.archive for file in files):
        speeds = RESTORE_HOURS[archive]
        if speed not in speeds:
            raise InvalidInputError(
                f"speed={speed!r} is none of {archive}, which some of these files are in: it has "
                f"{' and '.join(map(repr, speeds))}.",
                hint="choose one of these, or restore the files of other archives by themselves.",
            )
