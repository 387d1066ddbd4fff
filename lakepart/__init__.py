"""lakepart: a partitioned data-lake storage layer.

Every public name is here and is loaded when it is first used, so ``import lakepart`` costs next to nothing::

    import lakepart as lp

    lake = lp.create("lake/")
    flights = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour", tz="America/New_York"))
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakepart.asset import Asset
    from lakepart.audits import (
        HasSchema,
        InPartition,
        NoNulls,
        RowCountDrift,
        UniqueKey,
    )
    from lakepart.backfill import Backfill
    from lakepart.branch import Branch
    from lakepart.catalogs import (
        apply_rebuild,
        backup_catalog,
        copy_catalog,
        doctor,
        migrate_catalog,
        plan_migration,
        plan_rebuild,
        rebuild,
        restore_catalog,
    )
    from lakepart.engine.access import StoreWarning
    from lakepart.engine.auditing import AuditFinding, AuditResult
    from lakepart.engine.check import Finding
    from lakepart.engine.compact import CompactReport
    from lakepart.engine.move import MoveReport
    from lakepart.engine.publish import StalePublicationWarning
    from lakepart.engine.read import PartialReadWarning
    from lakepart.engine.readable import Part, ResolvedSelection
    from lakepart.engine.rebuild import RebuildReport
    from lakepart.engine.restore import RestoreReport
    from lakepart.engine.vacuum import VacuumReport
    from lakepart.errors import (
        AlreadyExistsError,
        AssetNotFoundError,
        AuditError,
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
    from lakepart.lake_view import LakeView
    from lakepart.model.catalog_plans import CatalogCopy, MigrationPlan
    from lakepart.model.compact_plans import CompactPlan
    from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
    from lakepart.model.definitions import (
        Calendar,
        Cron,
        Daily,
        Dynamic,
        Hourly,
        Minutely,
        Monthly,
        Multi,
        PartitionsDefinition,
        Quarterly,
        Static,
        Unpartitioned,
        Weekly,
        Yearly,
    )
    from lakepart.model.diagnoses import Diagnosis
    from lakepart.model.inputs import Input
    from lakepart.model.mappings import (
        AllPartitions,
        CustomMapping,
        FromDimension,
        Identity,
        KeyMap,
        LastPartition,
        Mapped,
        PartitionMapping,
        PerDimension,
        SpecificPartitions,
        TimeOverlap,
    )
    from lakepart.model.plans import BackfillPlan, ReadPlan, RebuildPlan, TieringPlan, VacuumPlan
    from lakepart.model.policies import AgeRule, TieringPolicy
    from lakepart.model.records import Commit, RowChanges, Tag
    from lakepart.model.restore_plans import RestorePlan
    from lakepart.model.row_plans import DeletePlan, DropPlan, UpsertPlan
    from lakepart.model.version_plans import PublishPlan, RollbackPlan
    from lakepart.model.windows import Window
    from lakepart.producers import Producer, producer
    from lakepart.selection import Selection
    from lakepart.transaction import Transaction

__version__ = "0.1.0"

__all__ = [
    "AgeRule",
    "AllPartitions",
    "AlreadyExistsError",
    "AlterPlan",
    "Asset",
    "AssetNotFoundError",
    "AuditError",
    "AuditFinding",
    "AuditResult",
    "Backfill",
    "BackfillError",
    "BackfillPlan",
    "Branch",
    "BranchNotFoundError",
    "Calendar",
    "CatalogCopy",
    "CatalogError",
    "Commit",
    "CompactPlan",
    "CompactReport",
    "ConflictError",
    "CorruptionError",
    "Cron",
    "CustomMapping",
    "Daily",
    "DeletePlan",
    "Diagnosis",
    "DropPlan",
    "Dynamic",
    "ErrorCode",
    "Finding",
    "FromDimension",
    "HasSchema",
    "Hourly",
    "IOManager",
    "Identity",
    "InPartition",
    "Input",
    "InvalidInputError",
    "KeyMap",
    "Lake",
    "LakeNotFoundError",
    "LakeView",
    "LakepartError",
    "LastPartition",
    "Mapped",
    "MigrationPlan",
    "Minutely",
    "Monthly",
    "MoveReport",
    "Multi",
    "NoNulls",
    "NotFoundError",
    "OfflineDataError",
    "Part",
    "PartialReadWarning",
    "PartitionKeyError",
    "PartitionMapping",
    "PartitionNotFoundError",
    "PartitionsDefinition",
    "PerDimension",
    "Producer",
    "PublishPlan",
    "Quarterly",
    "ReadPlan",
    "RebuildPlan",
    "RebuildReport",
    "RepartitionPlan",
    "ResolvedSelection",
    "RestorePlan",
    "RestoreReport",
    "RollbackPlan",
    "RowChanges",
    "RowCountDrift",
    "SchemaMismatchError",
    "Selection",
    "SnapshotNotFoundError",
    "SpecificPartitions",
    "StalePublicationWarning",
    "StateError",
    "Static",
    "StorageError",
    "StoreWarning",
    "Tag",
    "Tier",
    "TieringPlan",
    "TieringPolicy",
    "TimeOverlap",
    "Transaction",
    "UniqueKey",
    "Unpartitioned",
    "UpsertPlan",
    "VacuumPlan",
    "VacuumReport",
    "Weekly",
    "Window",
    "Yearly",
    "apply_rebuild",
    "backup_catalog",
    "connect",
    "copy_catalog",
    "create",
    "doctor",
    "migrate_catalog",
    "plan_migration",
    "plan_rebuild",
    "producer",
    "rebuild",
    "restore_catalog",
]

_HOMES = {
    "AgeRule": "model.policies",
    "AllPartitions": "model.mappings",
    "AlterPlan": "model.definition_plans",
    "Asset": "asset",
    "AuditFinding": "engine.auditing",
    "AuditResult": "engine.auditing",
    "Backfill": "backfill",
    "BackfillPlan": "model.plans",
    "Branch": "branch",
    "Calendar": "model.definitions",
    "CatalogCopy": "model.catalog_plans",
    "Commit": "model.records",
    "CompactPlan": "model.compact_plans",
    "CompactReport": "engine.compact",
    "Cron": "model.definitions",
    "CustomMapping": "model.mappings",
    "Daily": "model.definitions",
    "Dynamic": "model.definitions",
    "Finding": "engine.check",
    "FromDimension": "model.mappings",
    "HasSchema": "audits",
    "Hourly": "model.definitions",
    "IOManager": "io_manager",
    "Identity": "model.mappings",
    "InPartition": "audits",
    "Input": "model.inputs",
    "KeyMap": "model.mappings",
    "Lake": "lake",
    "LakeView": "lake_view",
    "LastPartition": "model.mappings",
    "Mapped": "model.mappings",
    "MigrationPlan": "model.catalog_plans",
    "Minutely": "model.definitions",
    "Monthly": "model.definitions",
    "MoveReport": "engine.move",
    "Multi": "model.definitions",
    "NoNulls": "audits",
    "Part": "engine.readable",
    "PartialReadWarning": "engine.read",
    "PartitionMapping": "model.mappings",
    "PartitionsDefinition": "model.definitions",
    "PerDimension": "model.mappings",
    "Producer": "producers",
    "PublishPlan": "model.version_plans",
    "Quarterly": "model.definitions",
    "ReadPlan": "model.plans",
    "RebuildPlan": "model.plans",
    "RebuildReport": "engine.rebuild",
    "RepartitionPlan": "model.definition_plans",
    "ResolvedSelection": "engine.readable",
    "RestorePlan": "model.restore_plans",
    "RestoreReport": "engine.restore",
    "RollbackPlan": "model.version_plans",
    "RowCountDrift": "audits",
    "RowChanges": "model.records",
    "DeletePlan": "model.row_plans",
    "Diagnosis": "model.diagnoses",
    "DropPlan": "model.row_plans",
    "Selection": "selection",
    "SpecificPartitions": "model.mappings",
    "StalePublicationWarning": "engine.publish",
    "Static": "model.definitions",
    "StoreWarning": "engine.access",
    "Tag": "model.records",
    "Tier": "lake",
    "TieringPlan": "model.plans",
    "TieringPolicy": "model.policies",
    "TimeOverlap": "model.mappings",
    "Transaction": "transaction",
    "UniqueKey": "audits",
    "Unpartitioned": "model.definitions",
    "UpsertPlan": "model.row_plans",
    "VacuumPlan": "model.plans",
    "VacuumReport": "engine.vacuum",
    "Weekly": "model.definitions",
    "Window": "model.windows",
    "Yearly": "model.definitions",
    "apply_rebuild": "catalogs",
    "backup_catalog": "catalogs",
    "connect": "lake",
    "copy_catalog": "catalogs",
    "create": "lake",
    "doctor": "catalogs",
    "migrate_catalog": "catalogs",
    "plan_migration": "catalogs",
    "plan_rebuild": "catalogs",
    "producer": "producers",
    "rebuild": "catalogs",
    "restore_catalog": "catalogs",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(_unknown(name), name=name, obj=sys.modules[__name__])
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
