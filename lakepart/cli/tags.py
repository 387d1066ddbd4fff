"""Commands for tags: list, create, delete."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import Apply, Everything, Json, LakeAddress, Name, moment, opened, split
from lakepart.cli.output import carry_out, print_frame, print_json, say

if TYPE_CHECKING:
    from lakepart.model.records import Tag


def list_tags(
    where: LakeAddress = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the tags, newest snapshot first."""
    address, _ = split(where, least=0)
    with opened(address) as lake:
        print_frame(lake.tags(), as_json=as_json, everything=everything, nothing="no tags")


def create(
    where: LakeAddress = None,
    name: Name = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="SNAPSHOT", help="A snapshot, an instant or a tag; now by default.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="What it stands for.")] = None,
    as_json: Json = False,
) -> None:
    """Name a snapshot; vacuum leaves whole what it shows."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=False) as lake:
        made = lake.tag(rest[0], None if at is None else moment(at), message=message)
    if as_json:
        print_json(asdict(made))
    else:
        say(f"Tag {made.name} stands for snapshot {made.snapshot}.")


def delete(
    where: LakeAddress = None,
    name: Name = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Take a tag back; vacuum may forget what only the tag kept."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=not apply) as lake:
        found = lake.get_tag(rest[0])
        carry_out(
            _Deletion(found),
            lambda: lake.delete_tag(found.name),
            apply=apply,
            as_json=as_json,
            is_empty=False,
            describe=asdict,
            tell=lambda gone: f"Tag {gone.name} is deleted.",
        )


@dataclass(frozen=True, slots=True)
class _Deletion:
    """What is taken back."""

    tag: Tag

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.tag)

    def __str__(self) -> str:
        return f"Delete tag {self.tag.name} of snapshot {self.tag.snapshot}: vacuum may then forget what it showed."
