"""Lakes to test with: on a frozen clock, in memory, copied, opened again, and dying at any one of their effects.

Lakes on S3 are opened with the endpoint and credentials that the environment names: ``AWS_ENDPOINT_URL`` and others.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from os import PathLike, fspath
from pathlib import Path
from secrets import token_hex

from lakepart.catalog.copying import copy_catalog
from lakepart.catalog.locations import Location
from lakepart.engine.context import Clock, LakeContext
from lakepart.engine.home import Home
from lakepart.engine.opening import CATALOG_FILE, create_lake, open_lake
from lakepart.errors import InvalidInputError
from lakepart.lake import Lake
from lakepart.model.records import TierRecord
from lakepart.storage.addresses import is_local
from lakepart.storage.base import Store, is_temporary
from lakepart.storage.locations import open_store
from lakepart.testing.clocks import FrozenClock
from lakepart.testing.databases import CrashingDatabase
from lakepart.testing.effects import Crash, Effects, When
from lakepart.testing.postgresql import refill
from lakepart.testing.stores import CrashingStore

Action = Callable[[Lake], object]

_AT_ONCE = 8  # objects that are copied side by side


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A lake after something happened to the process that worked on it.

    Attributes
    ----------
    lake
        The lake, on the clock it had.
    at
        What happened, and at which effect; for the messages of tests.
    """

    lake: Lake
    at: str


def frozen_lake(
    url: str | PathLike[str],
    *,
    at: datetime | None = None,
    catalog: Location | None = None,
    tiers: Sequence[TierRecord] | None = None,
) -> Lake:
    """Create a lake whose clock stands still at ``at`` (now by default); :func:`clock_of` gives the clock.

    Stores stamp files with the machine's own time, which vacuum compares with the lake's clock: leave ``at`` out
    where a test vacuums.
    """
    clock = FrozenClock(at or datetime.now(UTC))
    return Lake(Home(create_lake(fspath(url), catalog=catalog, tiers=tiers, storage_options=None, clock=clock)))


def memory_lake(catalog_folder: str | PathLike[str], *, at: datetime | None = None) -> Lake:
    """Create a lake whose bytes lie in this process's memory, apart from all others; its catalog needs a folder."""
    name = token_hex(8)
    catalog = Path(catalog_folder, f"{name}.db")
    return frozen_lake(f"memory://{name}/lake", at=at, catalog=f"sqlite:///{catalog}")


def clock_of(lake: Lake) -> FrozenClock:
    """Give the frozen clock of a lake, to advance it."""
    clock = lake._home.context.clock
    if not isinstance(clock, FrozenClock):
        raise InvalidInputError(f"{lake!r} goes by the machine's clock.", hint="make it with frozen_lake.")
    return clock


def reopened(lake: Lake, *, catalog: str | None = None, clock: Clock | None = None) -> Lake:
    """Open a lake as another process would, on the same clock: nothing registered, nothing cached.

    ``catalog`` is another address of the same catalog, ``clock`` that of another machine.
    """
    context = lake._home.context
    return _opened(context.url, catalog or context.catalog, clock or context.clock)


def copied(lake: Lake, place: str | PathLike[str], *, catalog: str | None = None) -> Lake:
    """Copy a lake as it lies and open the copy, on a clock of its own that shows the same time.

    The place is a folder or, with ``catalog``, any address; tiers elsewhere than in the lake's folder stay there.
    With ``catalog``, the copy's catalog is there instead of in its folder. Where both are in one PostgreSQL server and
    the target is a catalog already, its rows give way to the copy's: what a test of many lakes can afford.
    """
    context = lake._home.context
    url = fspath(place)
    lake.close()
    if is_local(context.url) and is_local(url):
        without = None if catalog is None else shutil.ignore_patterns(f"{CATALOG_FILE}*")
        shutil.copytree(context.url, url, ignore=without)
    else:
        _copy_objects(context.root, open_store(url))
    if catalog is not None and not (isinstance(context.catalog, str) and refill(context.catalog, catalog)):
        copy_catalog(context.database, catalog)
    return _opened(url, catalog, FrozenClock(context.clock()))


def with_effects(lake: Lake, effects: Effects) -> Lake:
    """Give the same lake, with its stores and its catalog having their effects through ``effects``."""
    home = lake._home
    context = home.context
    database = CrashingDatabase.around(context.database, effects, clock=context.clock)
    stores = {tier: CrashingStore(store, effects) for tier, store in context.stores.items()}
    watched = replace(context, database=database, root=CrashingStore(context.root, effects), stores=stores)
    return Lake(replace(home, context=watched))


def with_stores(lake: Lake, stores: Mapping[str, Store]) -> Lake:
    """Give the same lake, with other stores for some of its tiers."""
    context = lake._home.context
    return Lake(replace(lake._home, context=replace(context, stores={**context.stores, **stores})))


def crashing(lake: Lake, *, at: int, when: When = "before") -> Lake:
    """Give the same lake as a process that will die before or after its effect number ``at``."""
    effects = Effects()
    effects.crash_at(at, when)
    return with_effects(lake, effects)


def interrupted(lake: Lake, *, at: int, when: When = "before") -> Lake:
    """Give the same lake as a process that gets a ``KeyboardInterrupt`` at its effect number ``at``, and lives on."""
    effects = Effects()
    effects.interrupt_at(at, when)
    return with_effects(lake, effects)


def effects_of(lake: Lake, action: Action) -> tuple[str, ...]:
    """Carry out ``action`` to its end and name the effects it had, in order."""
    effects = Effects()
    action(with_effects(lake, effects))
    return effects.names


def crash_everywhere(
    make: Callable[[], Lake], action: Action, *, when: When, at: Iterable[int] | None = None
) -> Iterator[Aftermath]:
    """Carry out ``action`` again and again, each time on a lake of its own that dies one effect later.

    Parameters
    ----------
    make
        Gives the lake to act on; called for every crash.
    action
        What is done. It is over once it comes to its end without meeting the crash.
    when
        Whether the crash comes before or after the effect.
    at
        The numbers of the effects to crash at; all of them by default.

    Yields
    ------
    The lake after each crash, opened again.
    """
    for index in count() if at is None else at:
        lake = make()
        effects = Effects()
        effects.crash_at(index, when)
        dying = with_effects(lake, effects)
        died = _dies(action, dying)
        dying.close()
        if effects.last_words is None:
            return
        if not died:
            raise AssertionError(f"{effects.last_words}: something swallowed the crash")
        yield Aftermath(reopened(lake), effects.last_words)


def interrupt_everywhere(make: Callable[[], Lake], action: Action, *, when: When) -> Iterator[Aftermath]:
    """Do as :func:`crash_everywhere` with a ``KeyboardInterrupt``, which the process survives and cleans up after."""
    for index in count():
        lake = make()
        effects = Effects()
        effects.interrupt_at(index, when)
        stopped = with_effects(lake, effects)
        try:
            action(stopped)
        except KeyboardInterrupt:
            yield Aftermath(stopped, f"{when} effect {index}: {effects.names[index]}")
        else:
            if len(effects.names) <= index:
                return
            raise AssertionError(f"{when} effect {index}: something swallowed the interrupt")


def meet_everywhere(make: Callable[[], Lake], action: Action, other: Action) -> Iterator[Aftermath]:
    """Carry out ``action`` again and again, while another process does ``other`` one effect later each time.

    Parameters
    ----------
    make
        Gives the lake to act on; called for every meeting.
    action
        What is done. It is over once it comes to its end before the meeting.
    other
        What another handle of the same lake does right before one of the effects.

    Yields
    ------
    The lake after each meeting, opened again.
    """
    for index in count():
        lake = make()
        effects = Effects()
        effects.meanwhile(index, partial(other, reopened(lake)))
        action(with_effects(lake, effects))
        if effects.met:
            reached = effects.names[index] if index < len(effects.names) else "which was given up"
            yield Aftermath(reopened(lake), f"met before effect {index}: {reached}")
        elif len(effects.names) <= index:
            return


def _dies(action: Action, lake: Lake) -> bool:
    try:
        action(lake)
    except Crash:
        return True
    return False


def _copy_objects(source: Store, target: Store) -> None:
    """Copy everything but the catalog, and what is unfinished, which not every store can read."""
    names = [found.path for found in source.list() if not found.path.startswith(CATALOG_FILE)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        wanted = [name for name in names if not is_temporary(name)]
        list(pool.map(lambda name: target.put_new(name, source.read_bytes(name)), wanted))


def _opened(url: str, catalog: Location | None, clock: Clock) -> Lake:
    context: LakeContext = open_lake(url, catalog=catalog, read_only=False, storage_options=None, clock=clock)
    return Lake(Home(context))
