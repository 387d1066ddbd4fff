"""Carrying out plans that change rows, whichever handle they are given to."""

from __future__ import annotations

from typing import Any

from lakepart.engine.delete import apply_delete
from lakepart.engine.drop import apply_drop
from lakepart.engine.home import Home
from lakepart.engine.upsert import apply_upsert
from lakepart.errors import InvalidInputError
from lakepart.model.records import Commit
from lakepart.model.row_plans import DeletePlan, DropPlan, UpsertPlan

RowPlan = DeletePlan | DropPlan | UpsertPlan


def apply_row_plan(home: Home, plan: RowPlan, *, data: Any = None, message: str | None = None) -> Commit:
    """Do what a plan says, in the view of the handle that it was made with."""
    match plan:
        case DeletePlan():
            return apply_delete(home, plan, message=message)
        case UpsertPlan():
            return apply_upsert(home, plan, data, message=message)
        case DropPlan():
            return apply_drop(home, plan, message=message)
        case _:
            raise InvalidInputError(
                f"{plan!r} is no plan that changes rows.",
                hint="other plans are carried out by the lake: lake.apply(plan).",
            )
