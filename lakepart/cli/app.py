"""The tree of commands, and how a call becomes an exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from lakepart import __version__
from lakepart.cli import (
    backfills,
    branches,
    catalogs,
    changing,
    compacting,
    demo,
    doctoring,
    reading,
    rebuilding,
    redefining,
    rows,
    tags,
    tiers,
)
from lakepart.cli.exits import ExitCode, report, report_error
from lakepart.cli.terminating import was_asked_to_end
from lakepart.errors import LakepartError

# every error of a wrong call, by the one public name there is for any of them
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
_HELP = {"help_option_names": ["-h", "--help"]}


def _group(help_text: str) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        context_settings=_HELP,
        add_completion=False,
        invoke_without_command=True,
        callback=_help_alone,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which lakepart this is.")] = False,
) -> None:
    if version:
        typer.echo(f"lakepart {__version__}")
    else:
        _help_alone(context)


app = typer.Typer(
    help="A partitioned data lake: plain Parquet, a plain SQL catalog, one row of truth per partition.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong call, 3 not found, 4 conflict or busy, 5 found or planned and not done.",
    epilog="Example: lakepart demo",
    context_settings=_HELP,
    add_completion=False,
    invoke_without_command=True,
    callback=_root,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_backfill = _group("Compute partitions, and look after what computes them.")
_tier = _group("Move partitions between tiers.")
_branch = _group("Write, look, then publish or discard.")
_tag = _group("Name snapshots, and keep what they show.")
app.add_typer(_backfill, name="backfill")
app.add_typer(_tier, name="tier")
app.add_typer(_branch, name="branch")
_catalog = _group("Look after the catalog as a whole.")
app.add_typer(_catalog, name="catalog")
app.add_typer(_tag, name="tag")


def _add(to: typer.Typer, name: str, function: Callable[..., None], example: str) -> None:
    to.command(name, epilog=f"Example: lakepart {example}", context_settings=_HELP)(function)


_add(app, "init", changing.init, "init my-lake")
_add(app, "demo", demo.demo, "demo ./demo-lake")
_add(app, "assets", reading.assets, "assets demo-lake")
_add(app, "status", reading.status, "status demo-lake daily_delays 2013-03")
_add(app, "keys", reading.keys, "keys demo-lake flights 2013-01..2013-02")
_add(app, "head", reading.head, "head demo-lake flights 2013-07-04 -n 3")
_add(app, "files", reading.files, "files demo-lake flights 2013-01 --json")
_add(app, "history", reading.history, "history demo-lake daily_delays 2013-03-08")
_add(app, "explain", reading.explain, "explain demo-lake daily_delays 2013-04-01")
_add(app, "snapshots", reading.snapshots, "snapshots demo-lake --since 1")
_add(app, "diff", reading.diff, "diff demo-lake 1 2 flights 2013-03 --rows --on carrier,flight")
_add(_backfill, "run", backfills.run, "backfill run demo-lake daily_delays 2013-04 --workers 2 --apply")
_add(_backfill, "status", backfills.status, "backfill status demo-lake delays-of-2013")
_add(_backfill, "resume", backfills.resume, "backfill resume demo-lake delays-of-2013")
_add(_backfill, "cancel", backfills.cancel, "backfill cancel demo-lake delays-of-2013")
_add(_backfill, "list", backfills.list_backfills, "backfill list demo-lake")
_add(_tier, "plan", tiers.plan, "tier plan demo-lake --policy tiering.toml")
_add(_tier, "apply", tiers.apply, "tier apply demo-lake --older-than 180d --to cold --as-of 2013-12-31 --apply")
_add(_tier, "demote", tiers.demote, "tier demote demo-lake flights 2013-07 --to cold --apply")
_add(_tier, "promote", tiers.promote, "tier promote demo-lake flights 2013-06 --apply")
_add(_tier, "restore", tiers.restore, "tier restore demo-lake flights 2013-06 --days 3 --apply")
_add(_tier, "report", tiers.report, "tier report demo-lake")
_add(app, "doctor", doctoring.doctor, "doctor demo-lake")
_add(app, "check", changing.check, "check demo-lake --checksums")
_add(app, "rebuild", rebuilding.rebuild, "rebuild demo-lake --apply")
_add(app, "compact", compacting.compact, "compact demo-lake flights 2013-03 --target-file-size '64 MB' --apply")
_add(app, "vacuum", changing.vacuum, "vacuum demo-lake --retention 30d --apply")
_add(_branch, "list", branches.list_branches, "branch list demo-lake")
_add(_branch, "create", branches.create, "branch create demo-lake trial")
_add(_branch, "diff", branches.diff, "branch diff demo-lake trial")
_add(_branch, "refresh", branches.refresh, "branch refresh demo-lake trial")
_add(_branch, "publish", branches.publish, "branch publish demo-lake trial --on-conflict drop --apply")
_add(_branch, "discard", branches.discard, "branch discard demo-lake trial --apply")
_add(_tag, "list", tags.list_tags, "tag list demo-lake")
_add(_tag, "create", tags.create, "tag create demo-lake q1-report --at 2 -m 'as sent to the board'")
_add(_tag, "delete", tags.delete, "tag delete demo-lake q1-report --apply")
_add(_catalog, "migrate", catalogs.migrate, "catalog migrate s3://acme/lake --catalog postgresql://db/lake --apply")
_add(_catalog, "copy", catalogs.copy, "catalog copy my-lake postgresql://ann@db/lake")
_add(_catalog, "backup", catalogs.backup, "catalog backup demo-lake catalog-of-today.db")
_add(_catalog, "restore", catalogs.restore, "catalog restore demo-lake catalog-of-today.db")
_add(app, "alter", redefining.alter, "alter demo-lake flights --set end=2014-01-01 --apply")
_add(app, "repartition", redefining.repartition, "repartition demo-lake flights --set kind=monthly --apply")
_add(app, "upsert", rows.upsert, "upsert demo-lake flights late.parquet --on carrier,flight,time_hour --apply")
_add(app, "drop", rows.drop, "drop demo-lake daily_delays 2013-03 --apply")
_add(app, "delete", rows.delete, "delete demo-lake flights 2013-03 --where 'carrier == UA' --apply")
_add(app, "rollback", changing.rollback, "rollback demo-lake daily_delays 2013-03 --to 2 --apply")


def run(arguments: Sequence[str]) -> int:
    """Run one call of the command line; gives its exit code."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(app).main(args=list(arguments), prog_name="lakepart", standalone_mode=False)
    except LakepartError as error:
        return report_error(error, as_json=as_json)
    except _UsageError as error:
        return _report_usage(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    if code == ExitCode.INTERRUPTED:  # some releases of typer make an exit code of Ctrl-C themselves
        return _report_interrupt(as_json=as_json)
    return code if isinstance(code, int) else ExitCode.DONE


def _report_interrupt(*, as_json: bool) -> ExitCode:
    if was_asked_to_end():
        report("Terminated.", None, {"code": "terminated"}, as_json=as_json)
        return ExitCode.TERMINATED
    report("Interrupted.", None, {"code": "interrupted"}, as_json=as_json)
    return ExitCode.INTERRUPTED


def _report_usage(error: Exception, *, as_json: bool) -> ExitCode:
    context = getattr(error, "ctx", None)
    command = "lakepart" if context is None else context.command_path
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    report(message, f"{command} --help shows how it is called.", {"code": "wrong-call"}, as_json=as_json)
    return ExitCode.WRONG_CALL
