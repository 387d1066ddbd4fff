"""Tags: naming snapshots, and telling storage, so that a lost catalog can be rebuilt with them.

One small file a tag, ``_lakepart/tags/<id>.json``, is written after the catalog has the tag and deleted after it is
gone there. What a crash left undone, the next verb that looks after tags, or vacuum, does.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, SupportsIndex

from lakepart.catalog import tags
from lakepart.engine.context import LakeContext, require_writable
from lakepart.engine.home import Home
from lakepart.errors import LakepartError
from lakepart.model.names import check_tag_name
from lakepart.model.records import Tag
from lakepart.storage.base import Store

if TYPE_CHECKING:
    import pandas as pd

TAG_FOLDER = "_lakepart/tags"
_OWN_VALUES = ("name", "snapshot", "message", "author", "at_us")
_VALUES = ("lake_id", *_OWN_VALUES)


def tag_path(tag_id: int) -> str:
    """Name the file of a tag; zero-padded, so that names sort as numbers."""
    return f"{TAG_FOLDER}/{tag_id:012d}.json"


def tag_id_of(path: str) -> int:
    """Read the tag's id from the name of its file; ValueError where it is none of ours."""
    return int(path.removeprefix(f"{TAG_FOLDER}/").removesuffix(".json"))


def make_tag(home: Home, name: str, at: SupportsIndex | str | datetime | None, message: str | None) -> Tag:
    """Name a snapshot of main: the newest, or the one that ``at`` shows."""
    context = home.context
    require_writable(context, home.view, "make a tag")
    name = check_tag_name(name)
    snapshot = None if at is None else home.at(at).view.snapshot
    made = tags.create_tag(context.database, name, snapshot=snapshot, author=context.author, message=message)
    settle_tags(context)
    return made


def remove_tag(home: Home, name: str) -> Tag:
    """Take a tag away."""
    require_writable(home.context, home.view, "delete a tag")
    gone = tags.delete_tag(home.context.database, name)
    settle_tags(home.context)
    return gone


def get_tag(home: Home, name: str) -> Tag:
    """Look a tag up; NotFoundError suggests close names."""
    with home.context.database.reading() as connection:
        return tags.get_tag(connection, name)


def tags_frame(context: LakeContext) -> pd.DataFrame:
    """Give one row per tag, newest snapshot first."""
    import pandas as pd

    with context.database.reading() as connection:
        found = tags.list_tags(connection)
    return pd.DataFrame(
        {
            "name": [tag.name for tag in found],
            "snapshot": [tag.snapshot for tag in found],
            "at": pd.to_datetime([tag.at_us for tag in found], unit="us", utc=True),
            "author": [tag.author for tag in found],
            "message": [tag.message for tag in found],
        }
    )


def settle_tags(context: LakeContext) -> None:
    """Tell storage what it does not know yet; a failure is a warning, and is tried again the next time."""
    with context.database.reading() as connection:
        unnoted = tags.list_unnoted(connection)
    for tag, deleted in unnoted:
        try:
            if not deleted:
                context.root.put_new(tag_path(tag.tag_id), _to_bytes(context, tag))
            if deleted or not tags.note_tag(context.database, tag.tag_id, deleted=False):
                context.root.delete(tag_path(tag.tag_id))
                tags.note_tag(context.database, tag.tag_id, deleted=True)
        except LakepartError as error:
            text = f"Tag {tag.name!r} is {'deleted' if deleted else 'made'}, but storage does not know yet: {error}"
            warnings.warn(text, RuntimeWarning, stacklevel=4)


def find_damaged(context: LakeContext, *, contents: bool) -> list[tuple[Tag, str]]:
    """Give the tags whose file is not as it was written, and why; without ``contents`` only its size is looked at."""
    stored = {found.path: found.size_bytes for found in context.root.list(TAG_FOLDER)}
    with context.database.reading() as connection:
        noted = tags.list_noted(connection)
    damaged = []
    for tag in noted:
        path, expected = tag_path(tag.tag_id), _to_bytes(context, tag)
        if path not in stored:
            damaged.append((tag, "is gone"))
        elif stored[path] != len(expected) or (contents and context.root.read_bytes(path) != expected):
            damaged.append((tag, "has other bytes than were written"))
    return damaged


def stored_tags(root: Store) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Read every file of a tag: ``(path, values)``; None for the values of one that is damaged."""
    for stored in root.list(TAG_FOLDER):
        try:
            tag_id_of(stored.path)
            values = json.loads(root.read_bytes(stored.path))
            if not isinstance(values["name"], str) or not isinstance(values["snapshot"], int):
                raise TypeError("these are the values of no tag")
            yield stored.path, {name: values[name] for name in _VALUES}
        except (ValueError, TypeError, KeyError):
            yield stored.path, None


def write_again(context: LakeContext, tag_id: int) -> None:
    """Put what a tag's file should hold in the place of what it holds."""
    with context.database.reading() as connection:
        for tag in tags.list_noted(connection):
            if tag.tag_id == tag_id:
                context.root.delete(tag_path(tag_id))
                context.root.put_new(tag_path(tag_id), _to_bytes(context, tag))


def _to_bytes(context: LakeContext, tag: Tag) -> bytes:
    # the same tag must give the same bytes: another process may be writing it at this moment
    own = {name: getattr(tag, name) for name in _OWN_VALUES}
    values = {"format": 1, "lake_id": context.database.lake_id, **own}
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
