"""What processes saw and did together, recorded and judged: snapshot isolation, and the first committer wins."""

import json
from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import query_catalog, stray_files
from lakepart.testing.histories import Committed, Observed, find_anomalies

ACCOUNTS = [f"{asset}/2024-01-0{day}" for asset in ("numbers", "others") for day in (1, 2)]
START = 100

# Every transaction moves one from an account to another one: the sum never changes.
TRANSFER = """
import json, random
lake, dice = lp.connect(url), random.Random(me)
def value_of(view, account):
    asset, _, key = account.partition("/")
    return view.asset(asset)[key].to_arrow()["value"].to_pylist()[0]
done = 0
while done < turns:
    giver, taker = dice.sample(%(accounts)s, 2)
    try:
        with lake.transaction(f"{me}: {giver} to {taker}") as tx:
            had = {one: value_of(tx, one) for one in (giver, taker)}
            will = {giver: had[giver] - 1, taker: had[taker] + 1}
            for account, value in will.items():
                asset, _, key = account.partition("/")
                tx.asset(asset).write(frame(int(key[-1]) - 1, value), key)
    except lp.ConflictError as error:
        assert all(c["author"] and c["at"] and c["snapshot"] > tx.snapshot for c in error.context["conflicts"])
        continue
    done += 1
    print(json.dumps(
        {"kind": "commit", "snapshot": tx.commit.snapshot, "based_on": tx.snapshot, "had": had, "wrote": will}))
"""
WATCH = """
import json
lake = lp.connect(url)
def all_of(view, asset):
    table = view.asset(asset).to_arrow()
    days = [day.isoformat() for day in table["day"].to_pylist()]
    return {f"{asset}/{day}": value for day, value in zip(days, table["value"].to_pylist())}
for _ in range(turns):
    with lake.transaction() as tx:  # both assets at one snapshot
        saw = all_of(tx, "numbers") | all_of(tx, "others")
        print(json.dumps({"kind": "read", "snapshot": tx.snapshot, "saw": saw}))
    read = lake.asset("numbers").resolve()  # and one as plain reads see it
    days, values = (read.to_arrow()[name].to_pylist() for name in ("day", "value"))
    saw = {f"numbers/{day}": value for day, value in zip(days, values)}
    print(json.dumps({"kind": "read", "snapshot": read.snapshot, "saw": saw, "only": "numbers/"}))
"""


@pytest.fixture
def lake(tmp_path):
    lake = lp.create(tmp_path / "lake")
    start = pa.table({"day": [date(2024, 1, 1), date(2024, 1, 2)], "value": pa.array([START] * 2, pa.int64())})
    for name in ("numbers", "others"):
        lake.asset(name, partitions=lp.Daily("2024-01-01", by="day")).write(start)
    return lake


def test_transactions_and_reads_of_four_processes_are_snapshot_isolated(lake, run_together):
    writer = TRANSFER % {"accounts": ACCOUNTS}

    recorded = run_together(lake, [writer, writer, WATCH, WATCH], turns=8)

    commits, observations = [], []
    for process, lines in enumerate(recorded):
        for event in map(json.loads, lines):
            if event["kind"] == "commit":
                guarded = frozenset(event["had"])
                commits.append(Committed(event["snapshot"], event["wrote"], event["based_on"], guarded))
                observations.append(Observed(f"writer {process}", event["based_on"], event["had"], guarded))
            else:
                looked_at = frozenset(one for one in ACCOUNTS if one.startswith(event.get("only", "")))
                observations.append(Observed(f"reader {process}", event["snapshot"], event["saw"], looked_at))
    assert len(commits) == 16
    assert len(observations) == 16 + 32
    assert find_anomalies(commits, observations, initial=dict.fromkeys(ACCOUNTS, START), first=2) == []
    total = sum(sum(lake.asset(name).to_arrow()["value"].to_pylist()) for name in ("numbers", "others"))
    assert total == START * len(ACCOUNTS)
    assert [str(found) for found in lake.check(checksums=True)] == []
    assert stray_files(lake.url) == set()
    assert query_catalog(lake.url, "SELECT count(*) FROM intent") == [(0,)]
