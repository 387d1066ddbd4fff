"""What every handle holds: an open lake, the view it works in, and the functions registered with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import index
from typing import Any, SupportsIndex

from lakepart.catalog.locations import at_home, portable
from lakepart.catalog.lookups import asset_not_found, find_asset, find_branch, list_branches, visible_snapshot
from lakepart.catalog.tags import get_tag
from lakepart.engine.context import LakeContext, View
from lakepart.engine.opening import open_lake
from lakepart.errors import BranchNotFoundError, InvalidInputError, StateError, did_you_mean
from lakepart.model.instants import is_instant, parse_instant, to_microseconds
from lakepart.model.records import MAIN, MAIN_BRANCH_ID, AssetRecord, BranchRecord


@dataclass(frozen=True)
class Home:
    """An open lake as one handle sees it; pickles as its address and view, never with secrets or functions."""

    context: LakeContext
    view: View = field(default_factory=View)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)  # of producers, by asset
    mapping_functions: dict[str, Callable[..., Any]] = field(default_factory=dict)  # of custom mappings, by name

    def record(self, asset: str) -> AssetRecord:
        """Look an asset up, as it is defined in this view; AssetNotFoundError suggests close names."""
        if self.view.transaction is not None:
            self.view.transaction.renew_now_and_then(self.context.database)
        with self.context.database.reading() as connection:
            found = find_asset(connection, asset)
            if found is None:
                raise asset_not_found(connection, asset)
            return self.view.look(connection).define(connection, found)

    def in_view(self, view: View) -> Home:
        """Give the same lake in another view."""
        return replace(self, view=view)

    def at(self, when: SupportsIndex | str | datetime) -> Home:
        """Give the lake as this branch saw it at a snapshot, at the last one before an instant, or at a tag."""
        with self.context.database.reading() as connection:
            view = self.view.look(connection)
            if hasattr(when, "__index__") and not isinstance(when, bool):
                found = visible_snapshot(connection, view.branch, number=index(when))
            elif isinstance(when, str) and not is_instant(when):
                found = visible_snapshot(connection, view.branch, number=get_tag(connection, when).snapshot)
            elif isinstance(when, str | datetime):
                found = visible_snapshot(connection, view.branch, at_us=to_microseconds(parse_instant(when)))
            else:
                raise InvalidInputError(
                    f"{when!r} is neither a snapshot number, nor an instant, nor a tag.",
                    hint='at(12), at("2026-01-31T00:00Z"), or at("q1-report").',
                )
        return self.in_view(view.at(found.snapshot))

    def __reduce__(self) -> tuple[Any, ...]:
        context = self.context
        if self.view.transaction is not None:
            raise StateError(
                "A transaction belongs to the process that began it, so its handles cannot be pickled.",
                hint="resolve() gives a selection that can be read elsewhere until the block ends.",
            )
        catalog = portable(context.catalog)
        view = self.view.branch.name, self.view.snapshot
        return reopen, (context.address, catalog, context.read_only, *view, context.credentials)


def reopen(
    url: str, catalog: str | None, read_only: bool, branch: str, snapshot: int | None, credentials: str | None
) -> Home:
    """Open a lake again, in another process, with the credentials found there: by the name that travelled, if any."""
    here = at_home(catalog, os.environ.get("LAKEPART_CATALOG"))
    context = open_lake(url, catalog=here, read_only=read_only, storage_options=None, credentials=credentials)
    return Home(context, View(MAIN if branch == MAIN.name else get_open_branch(context, branch), snapshot))


def get_open_branch(context: LakeContext, name: str) -> BranchRecord:
    """Look an open branch up; BranchNotFoundError suggests close names."""
    with context.database.reading() as connection:
        found = find_branch(connection, name)
        names = [branch.name for branch in list_branches(connection) if branch.branch_id != MAIN_BRANCH_ID]
    if found is None or found.state != "open" or found.branch_id == MAIN_BRANCH_ID:
        closed = f": it was {found.state}" if found is not None and found.state != "open" else ""
        raise BranchNotFoundError(
            f"There is no open branch {name!r}{closed}.", hint=did_you_mean(name, names), context={"branch": name}
        )
    return found
