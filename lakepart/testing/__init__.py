"""Shipped kit for testing: contract suites, a memory store, a crashing store, a frozen clock.

The contract suites need pytest and are imported from their own modules, as in
``from lakepart.testing.store_contract import StoreContract``; so is what needs boto3,
:class:`lakepart.testing.strict_s3.StrictS3`.
"""

from lakepart.testing.clocks import FrozenClock
from lakepart.testing.databases import CrashingDatabase
from lakepart.testing.effects import Crash, Effects
from lakepart.testing.lakes import (
    Aftermath,
    clock_of,
    copied,
    crash_everywhere,
    crashing,
    effects_of,
    frozen_lake,
    interrupt_everywhere,
    interrupted,
    meet_everywhere,
    memory_lake,
    reopened,
    with_effects,
    with_stores,
)
from lakepart.testing.oracles import files_of, query_catalog, stray_files
from lakepart.testing.stores import CrashingStore, FullDiskStore, memory_store

__all__ = [
    "Aftermath",
    "Crash",
    "CrashingDatabase",
    "CrashingStore",
    "Effects",
    "FrozenClock",
    "FullDiskStore",
    "clock_of",
    "copied",
    "crash_everywhere",
    "crashing",
    "effects_of",
    "files_of",
    "frozen_lake",
    "interrupt_everywhere",
    "interrupted",
    "meet_everywhere",
    "memory_lake",
    "memory_store",
    "query_catalog",
    "reopened",
    "stray_files",
    "with_effects",
    "with_stores",
]
