"""Writes that may be tried again: whoever gives the same key gets the first commit back, and nothing is written.

The key is the commit's token, which the catalog keeps once for ever, so that of two tries at the same time one commits
and the other one finds that out under the lock of the head. A key is of one asset on one branch. What is written is not
looked at: the same key says that it is the same.
"""

from __future__ import annotations

from collections.abc import Callable

from lakepart.catalog.committing import find_commit
from lakepart.engine.context import LakeContext, View
from lakepart.errors import AlreadyExistsError, ConflictError, InvalidInputError
from lakepart.model.records import AssetRecord, Commit

_LONGEST_KEY = 200


def token_of(view: View, asset: AssetRecord, key: str | None) -> str | None:
    """Give the token of a commit with an idempotency key; None without one."""
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or "\0" in key:
        raise InvalidInputError(
            f"idempotency_key={key!r} is no text of 1 to {_LONGEST_KEY} characters.",
            hint="the id of the run that writes is a good one.",
        )
    if view.transaction is not None:
        raise InvalidInputError(
            "A write inside a transaction is no commit of its own, so it has no idempotency_key.",
            hint="look in the block for what an earlier run has written.",
        )
    return f"key {view.branch.branch_id} {asset.asset_id} {key}"


def once(context: LakeContext, token: str | None, write: Callable[[], Commit]) -> Commit:
    """Write unless a commit with the token is there; one that lands meanwhile is no conflict but the answer."""
    if token is None:
        return write()
    found = _find(context, token)
    if found is not None:
        return found
    try:
        return write()
    except (AlreadyExistsError, ConflictError):
        found = _find(context, token)
        if found is None:
            raise
        return found


def _find(context: LakeContext, token: str) -> Commit | None:
    with context.database.reading() as connection:
        return find_commit(connection, token)
