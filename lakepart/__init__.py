"""lakepart: a partitioned data-lake storage layer.

Every public name is here and is loaded when it is first used, so ``import lakepart`` costs next to nothing::

    import lakepart as lp

    lake = lp.create("lake/")
    flights = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour", tz="America/New_York"))
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakepart.asset import Asset
    from lakepart.backfill import Backfill
    from lakepart.branch import Branch
    from lakepart.engine.read import PartialReadWarning
    from lakepart.errors import (
        AlreadyExistsError,
        AssetNotFoundError,
        BackfillError,
        BranchNotFoundError,
        CatalogError,
        ConflictError,
        CorruptionError,
        ErrorCode,
        InvalidInputError,
        LakeNotFoundError,
        LakepartError,
        NotFoundError,
        OfflineDataError,
        PartitionKeyError,
        PartitionNotFoundError,
        SchemaMismatchError,
        SnapshotNotFoundError,
        StateError,
        StorageError,
    )
    from lakepart.io_manager import IOManager
    from lakepart.lake import Lake, Tier, connect, create
    from lakepart.model.definitions import (
        Daily,
        Hourly,
        Monthly,
        PartitionsDefinition,
        Quarterly,
        Static,
        Unpartitioned,
        Weekly,
        Yearly,
    )
    from lakepart.model.policies import TieringPolicy
    from lakepart.model.records import Commit
    from lakepart.producer import Producer, producer
    from lakepart.selection import Selection

__version__ = "0.1.0"

__all__ = [
    "AgeRule",
    "AlreadyExistsError",
    "Asset",
    "AssetNotFoundError",
    "Backfill",
    "BackfillError",
    "Branch",
    "BranchNotFoundError",
    "CatalogError",
    "Commit",
    "ConflictError",
    "CorruptionError",
    "Daily",
    "ErrorCode",
    "Hourly",
    "IOManager",
    "InvalidInputError",
    "Lake",
    "LakeNotFoundError",
    "LakepartError",
    "Monthly",
    "NotFoundError",
    "OfflineDataError",
    "PartialReadWarning",
    "PartitionKeyError",
    "PartitionNotFoundError",
    "PartitionsDefinition",
    "Producer",
    "Quarterly",
    "SchemaMismatchError",
    "Selection",
    "SnapshotNotFoundError",
    "StateError",
    "Static",
    "StorageError",
    "Tier",
    "TieringPolicy",
    "Unpartitioned",
    "Weekly",
    "Yearly",
    "connect",
    "create",
    "producer",
]

_HOMES = {
    "AgeRule": "model.policies",
    "Asset": "asset",
    "Backfill": "backfill",
    "Branch": "branch",
    "Commit": "model.records",
    "Daily": "model.definitions",
    "Hourly": "model.definitions",
    "IOManager": "io_manager",
    "Lake": "lake",
    "Monthly": "model.definitions",
    "PartialReadWarning": "engine.read",
    "PartitionsDefinition": "model.definitions",
    "Producer": "producer",
    "Quarterly": "model.definitions",
    "Selection": "selection",
    "Static": "model.definitions",
    "Tier": "lake",
    "TieringPolicy": "model.policies",
    "Unpartitioned": "model.definitions",
    "Weekly": "model.definitions",
    "Yearly": "model.definitions",
    "connect": "lake",
    "create": "lake",
    "producer": "producer",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(_unknown(name), name=name, obj=sys.modules[__name__])
    if name == "Commit":
        found = import_module("lakepart.model.records").Commit
    else:
        found = getattr(import_module(f"lakepart.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, __all__, n=3)
    hint = f" Hint: did you mean {' or '.join(close)}?" if close else ""
    return f"module 'lakepart' has no attribute {name!r}.{hint}"


class _Package(ModuleType):
    """Keeps the decorator ``lakepart.producer`` in sight when the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "producer" and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
