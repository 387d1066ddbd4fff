"""Shipped kit for testing: contract suites, a memory store, a crashing store, a frozen clock.

The contract suites need pytest and are imported from their own modules, as in
``from lakepart.testing.store_contract import StoreContract``.
"""

from lakepart.testing.clocks import FrozenClock
from lakepart.testing.effects import Crash, Effects
from lakepart.testing.stores import CrashingStore, FullDiskStore, memory_store

__all__ = ["Crash", "CrashingStore", "Effects", "FrozenClock", "FullDiskStore", "memory_store"]
