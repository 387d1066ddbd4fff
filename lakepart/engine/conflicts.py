"""Whose commits came in between: what others changed, named with snapshot, author and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lakepart.catalog.definitions import last_change
from lakepart.catalog.guards import find_movers
from lakepart.engine.context import LakeContext, View
from lakepart.errors import ConflictError, ErrorCode
from lakepart.model.plans import by_whom, count_of, list_some
from lakepart.model.version_plans import MovedPartition

_HINT = "plan again."


class AssetPlan(Protocol):
    """A plan for one asset."""

    @property
    def asset(self) -> str:
        """Its name."""

    @property
    def asset_id(self) -> int:
        """Its id."""


def changed_since_planned(
    context: LakeContext,
    view: View,
    plan: AssetPlan,
    what: str,
    keys: Mapping[int, str],
    code: ErrorCode = ErrorCode.CONFLICT,
) -> ConflictError:
    """Give the error for a plan that no longer fits the partitions ``keys``, given by ordinal and key."""
    with context.database.reading() as connection:
        branch = view.look(connection).branch
        return overtaken(plan, what, find_movers(connection, branch, plan.asset_id, plan.asset, keys), code)


def overtaken(
    plan: AssetPlan, what: str, moved: Sequence[MovedPartition], code: ErrorCode = ErrorCode.CONFLICT
) -> ConflictError:
    """Give the error for a plan that partitions which moved meanwhile no longer fit."""
    return ConflictError(
        f"Asset {plan.asset!r} changed after this {what} was planned: {list_some(map(str, moved))}. "
        "Nothing was changed.",
        hint=_HINT,
        code=code,
        context={"asset": plan.asset, "conflicts": list_conflicts(moved)},
    )


def declared_anew(context: LakeContext, plan: AssetPlan, what: str) -> ConflictError:
    """Give the error for a plan that the asset's definition or columns of now do not fit."""
    with context.database.reading() as connection:
        winner = last_change(connection, plan.asset_id)
    return ConflictError(
        f"Asset {plan.asset!r} changed after this {what} was planned: it was declared anew "
        f"{by_whom(winner)}. Nothing was changed.",
        hint=_HINT,
        context={"asset": plan.asset, "conflicts": [], **winner},
    )


def committed_meanwhile(asset: str, moved: Sequence[MovedPartition]) -> ConflictError:
    """Say that others wrote partitions which a change of definition did not know of."""
    return ConflictError(
        f"Somebody committed {count_of(len(moved), 'partition')} of {asset!r} after this was planned: "
        f"{list_some(map(str, moved))}. Nothing was changed.",
        hint=_HINT,
        context={"asset": asset, "conflicts": list_conflicts(moved)},
    )


def list_conflicts(moved: Iterable[MovedPartition]) -> list[dict[str, object]]:
    """Give what an error's context says of partitions that moved."""
    return [one.to_context() for one in moved]
