"""Commands for backfills: run, status, resume, cancel, list."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import (
    Apply,
    AsOf,
    AssetName,
    Everything,
    Json,
    LakeAddress,
    Last,
    Name,
    Partitions,
    Since,
    maybe_instant,
    opened,
    select,
    split,
)
from lakepart.cli.output import carry_out, print_frame, print_json, say
from lakepart.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from lakepart.backfill import Backfill
    from lakepart.lake import Lake
    from lakepart.model.inputs import Input
    from lakepart.producers import Producer

ProducerOption = Annotated[
    str | None,
    typer.Option("--producer", metavar="MODULE:NAME", help="What computes; the registered producer by default."),
]
Workers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Calls side by side.")]


def run(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    producer: ProducerOption = None,
    which: Annotated[
        list[str] | None,
        typer.Option("--which", metavar="STATE", help="missing, failed, stale (these by default), or all."),
    ] = None,
    workers: Workers = 1,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Partitions a call.")] = 1,
    publish: Annotated[
        str | None, typer.Option("--publish", metavar="HOW", help="each, together, or branch:NAME.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the backfill; made up by default.")] = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further attempts at what failed.")] = 2,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="For an attempt.")] = None,
    on_error: Annotated[str, typer.Option("--on-error", metavar="WHAT", help="continue or stop.")] = "continue",
    audits: Annotated[
        list[str] | None,
        typer.Option("--audit", metavar="MODULE:NAME", help="A check before results are published; repeatable."),
    ] = None,
    as_of: AsOf = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Compute partitions.

    Prints which and why, and does it with --apply. A producer made by @lakepart.producer is registered first, which
    only --apply does: before that, what it would make stale is not in the plan.
    """
    address, rest = split(where, asset, partitions, least=1)
    with opened(address, read_only=not apply) as lake:
        given = _load(producer)
        function, inputs = _use(lake, rest[0], given, apply=apply)
        instant = maybe_instant(as_of)
        plan = select(lake.asset(rest[0]), rest[1:], last, since, instant).plan_backfill(
            function,
            inputs=inputs,
            which=_states(which),
            batch=batch,
            publish=publish,
            name=name,
            retries=retries,
            timeout=timeout,
            on_error=on_error,
            audit=[_load(audit, "audit") for audit in audits or ()],
            as_of=instant,
        )
        carry_out(
            plan,
            lambda: lake.apply(plan, workers=workers, progress=not as_json) if plan.targets else None,
            apply=apply,
            as_json=as_json,
            is_empty=not plan.targets,
            describe=_describe,
            tell=_tell,
        )


def status(
    where: LakeAddress = None,
    name: Name = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List a backfill's partitions: state, reason, attempts, error."""
    address, rest = split(where, name, least=1)
    with opened(address) as lake:
        backfill = lake.backfill(rest[0])
        frame, told = backfill.status(), _tell(backfill)
    print_frame(frame, as_json=as_json, everything=everything, nothing="no partitions")
    if not as_json:
        say(told)


def resume(
    where: LakeAddress = None,
    name: Name = None,
    producer: ProducerOption = None,
    workers: Workers = 1,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Even if another process is at work on it: it is refused from then on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Go on with what is not done, and what failed."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=False) as lake:
        given = _load(producer)
        function = None if given is None else getattr(given, "function", given)
        backfill = lake.backfill(rest[0])
        backfill.resume(function, workers=workers, progress=not as_json, take_over=take_over)
        _print(backfill, as_json=as_json)


def cancel(
    where: LakeAddress = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Ask whoever runs a backfill to stop; what is done stays."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=False) as lake:
        _print(lake.backfill(rest[0]).cancel(), as_json=as_json)


def list_backfills(
    where: LakeAddress = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the backfills, newest first."""
    address, _ = split(where, least=0)
    with opened(address) as lake:
        print_frame(lake.backfills(), as_json=as_json, everything=everything, nothing="no backfills yet")


def _load(name: str | None, what: str = "producer") -> Producer | Callable[..., Any] | None:
    """Import ``module:name``; modules of the current folder are found, as by ``python -m``."""
    if name is None:
        return None
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise InvalidInputError(f"--{what} {name!r} is not MODULE:NAME.", hint="for example pipelines.delays:daily")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise NotFoundError(
            f"The {what} {name!r} cannot be imported: {error}.",
            hint="the module must be installed or lie in the current folder.",
        ) from error
    if not callable(found):
        raise InvalidInputError(f"{name!r} is not a function: its type is {type(found).__name__}.")
    return found  # type: ignore[no-any-return]


def _use(
    lake: Lake, asset: str, given: Producer | Callable[..., Any] | None, *, apply: bool
) -> tuple[Callable[..., Any] | None, Mapping[str, str | Input] | None]:
    """Register a producer where changes are wanted; give the function and inputs to plan with otherwise."""
    from lakepart.producers import Producer

    if not isinstance(given, Producer):
        return given, None
    if given.asset != asset:
        raise InvalidInputError(
            f"The producer {given.function.__qualname__!r} makes {given.asset!r}, not {asset!r}.",
            hint=f"backfill {given.asset!r} with it.",
        )
    if apply:
        lake.register(given)
        return None, None
    return given.function, given.inputs


def _states(which: list[str] | None) -> str | set[str] | None:
    if not which:
        return None
    chosen = {state for one in which for state in one.split(",")}
    return "all" if chosen == {"all"} else chosen


def _print(backfill: Backfill, *, as_json: bool) -> None:
    if as_json:
        print_json(_describe(backfill))
    else:
        say(_tell(backfill))


def _describe(backfill: Backfill | None) -> dict[str, Any]:
    if backfill is None:
        return {}
    return {"name": backfill.name, "state": backfill.state, "counts": backfill.counts}


def _tell(backfill: Backfill | None) -> str:
    if backfill is None:
        return "Nothing was done."
    counts = ", ".join(f"{count:,} {state}" for state, count in backfill.counts.items())
    return f"Backfill {backfill.name} is {backfill.state}: {counts or 'no partitions'}."
