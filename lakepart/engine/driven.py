"""Whether somebody works on a backfill: known of this machine's processes, listened for otherwise."""

from __future__ import annotations

from lakepart.catalog import campaigns
from lakepart.engine.context import LakeContext
from lakepart.engine.heartbeat import hears
from lakepart.engine.processes import is_alive
from lakepart.errors import StateError
from lakepart.model.catalog_records import BackfillRecord
from lakepart.model.instants import from_microseconds
from lakepart.model.states import BackfillState

_WORKING = frozenset({BackfillState.RUNNING, BackfillState.CANCELLING})


def is_driven(context: LakeContext, record: BackfillRecord) -> bool:
    """Say whether a backfill has a driver that lives; takes up to 20 seconds where that is on another machine."""
    if record.state not in _WORKING or record.driver is None:
        return False
    known = is_alive(record.driver)
    if known is not None:
        return known

    def beat() -> tuple[int, int]:
        found = _look_up(context, record)
        return found.epoch, found.heartbeat_us

    # absolute, because our clock may be ahead of its own, or behind
    silent = abs(context.clock() - from_microseconds(record.heartbeat_us))
    return hears(beat, silent_s=silent.total_seconds())


def require_undriven(context: LakeContext, record: BackfillRecord) -> None:
    """Refuse to take a backfill from a driver that lives, and say who that is."""
    if not is_driven(context, record):
        return
    found = _look_up(context, record)
    if found.state in _WORKING and found.driver is not None:  # else it has ended, or let go, while it was listened for
        raise StateError(
            f"Backfill {found.name!r} is being worked on by {found.driver}, which said so at "
            f"{from_microseconds(found.heartbeat_us).isoformat(timespec='seconds')}.",
            hint="wait for it, or cancel() it; resume(take_over=True) has everything refused that it still does.",
            context={"backfill": found.name, "driver": found.driver, "heartbeat_us": found.heartbeat_us},
        )


def _look_up(context: LakeContext, record: BackfillRecord) -> BackfillRecord:
    with context.database.reading() as connection:
        return campaigns.get_backfill(connection, record.backfill_id)
