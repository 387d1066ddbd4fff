"""Writers killed (SIGKILL) at random moments, again and again, while a reader must never see half of anything.

``LAKEPART_LONG=1`` kills ``LAKEPART_KILLS`` (two hundred by default) in each place, instead of twenty in a folder, six
with the catalog in PostgreSQL, and six with the data on S3, too.
"""

import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import stray_files

LONG = os.environ.get("LAKEPART_LONG") == "1"
MANY = int(os.environ.get("LAKEPART_KILLS", "200"))
KILLS = {"sqlite": 20, "postgresql": 6, "s3": 6}
LONGEST_S = 0.08  # from the last answer to the kill: about as long as the next commit takes

LOOKS = 5  # kills from one look at everything to the next

# Forks writers that have everything imported; each is killed a while after it has answered some times, or not yet.
NURSERY = """
import os, random, signal, sys, time
from datetime import date, timedelta
import pyarrow as pa, pyarrow.parquet
import lakepart as lp, lakepart.lake, lakepart.engine.move, sqlalchemy
url, warming = sys.argv[1], sys.argv[2] or None
def frame(*pairs):
    days = pa.array([date(2024, 1, day) for day, _ in pairs], pa.date32())
    return pa.table({"day": days, "value": pa.array([value for _, value in pairs], pa.int64())})
def rows(of, value):
    days = pa.array([date(2024, 1, 1)] * len(of), pa.date32())
    return pa.table({"day": days, "id": pa.array(of, pa.int64()), "value": pa.array([value] * len(of), pa.int64())})
def act(lake, what, number):
    if what == "together":
        with lake.transaction() as tx:
            tx.asset("numbers").write(frame((1, number), (2, number)), if_exists="replace")
            tx.asset("others").write(frame((1, number)), "2024-01-01")
    elif what == "append":
        lake.asset("log").append(frame((1, number)), idempotency_key=str(number))
    elif what == "compact":
        lake.asset("log").compact(progress=False)
    elif what == "change":
        lake.asset("rows").upsert(rows(range(6), number), on=["id"])
        lake.asset("rows").delete([("id", ">=", 4)])
    elif what == "vacuum":
        lake.vacuum(retention=timedelta(seconds=2), grace=timedelta(seconds=8), force=True, progress=False)
    else:
        lake.asset("log").demote("cold", progress=False)
        lake.asset("log").promote(progress=False)
def live(seed, number, acknowledged):
    dice = random.Random(seed)
    lake = lp.connect(url)
    os.write(acknowledged, b"born 0\\n")
    while True:
        number += 1
        what = dice.choice(["together", "together", "append", "append", "compact", "change", "vacuum", "move"])
        act(lake, what, number)
        os.write(acknowledged, f"{what} {number}\\n".encode())
with lp.create(url + "-warm", catalog=warming) as warm:  # what is loaded and compiled once, every child inherits
    for name in ("numbers", "others", "log", "rows"):
        warm.asset(name, partitions=lp.Daily("2024-01-01", by="day"))
    for number, what in enumerate(("together", "append", "append", "compact", "change", "vacuum", "move", "together")):
        act(warm, what, number)
for line in sys.stdin:
    seed, number, answers, then_s = line.split()
    heard, acknowledged = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            live(int(seed), int(number), acknowledged)
        except BaseException as error:
            os.write(acknowledged, f"failed {error!r}\\n".encode())
        finally:
            os._exit(1)
    os.close(acknowledged)
    said = b""
    while said.count(b"\\n") <= int(answers):
        said += os.read(heard, 65536)
    time.sleep(float(then_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(heard, 65536):
        said += more
    os.close(heard)
    print(";".join(said.decode().splitlines()), flush=True)
"""
READER = """
import json, sys, threading
import lakepart as lp
lake = lp.connect(sys.argv[1])
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
polls, last, torn = 0, -1, []
print("ready", flush=True)
while not stop.wait(0.1):
    both = lake.asset("numbers").to_arrow()["value"].to_pylist()
    try:
        now = lake.at(int(lake.snapshots(1)["snapshot"].iloc[0]))
        seen = [now.asset(name).to_arrow()["value"].to_pylist() for name in ("numbers", "others")]
    except lp.SnapshotNotFoundError:
        continue  # it is the past by now, and forgotten
    logged = lake.asset("log").to_arrow()["value"].to_pylist()
    changed = lake.asset("rows").to_arrow().to_pydict()
    if len(set(changed["value"])) != 1 or sorted(changed["id"]) not in ([*range(4)], [*range(6)]):
        torn.append([changed["id"], changed["value"]])
    if len(set(both)) != 1 or len(both) != 2 or len({*seen[0], *seen[1]}) != 1 or both[0] < last:
        torn.append([both, seen, last])
    if len(set(logged)) != len(logged):
        torn.append(logged)
    last = both[0]
    polls += 1
print(json.dumps({"polls": polls, "torn": torn}))
"""


@contextmanager
def running(program, url, *more):
    process = subprocess.Popen(
        [sys.executable, "-c", program, url, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(params=list(KILLS))
def setting(request, tmp_path, monkeypatch):
    """Give how many to kill, an address, and the places of two catalogs; the processes to come know of the first."""
    kills = MANY if LONG else KILLS[request.param]
    if request.param == "sqlite":
        return kills, tmp_path / "lake", None, None
    new_schema = request.getfixturevalue("new_schema")
    if request.param == "s3":
        url, catalog = request.getfixturevalue("place_on_s3")
    else:
        url, catalog = tmp_path / "lake", new_schema()
        monkeypatch.setenv("LAKEPART_CATALOG", catalog)
    return kills, url, catalog, new_schema()


@pytest.mark.timeout(3600 if LONG else 240)
def test_no_kill_loses_what_was_acknowledged_nor_shows_half_of_anything(setting, record_property):
    kills, url, catalog, warming = setting
    lake = lp.create(url, catalog=catalog)
    for name in ("numbers", "others", "log"):
        days = [date(2024, 1, 1), date(2024, 1, 2)] if name == "numbers" else [date(2024, 1, 1)]
        frame = pa.table({"day": days, "value": pa.array([0] * len(days), pa.int64())})
        lake.asset(name, partitions=lp.Daily("2024-01-01", by="day")).write(frame)
    rows = pa.table({"day": [date(2024, 1, 1)] * 4, "id": range(4), "value": pa.array([0] * 4, pa.int64())})
    lake.asset("rows", partitions=lp.Daily("2024-01-01", by="day")).write(rows)
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    number, appended = 0, {0}
    heard = {"together": 0, "change": 0}
    lake.close()

    with running(READER, lake.url) as reader, running(NURSERY, lake.url, warming or "") as nursery:
        assert reader.stdout.readline() == "ready\n"
        for kill in range(kills):
            at = f"kill {kill} of seed {seed}"
            nursery.stdin.write(f"{dice.randrange(10**6)} {number} {dice.randrange(3)} {dice.uniform(0, LONGEST_S)}\n")
            nursery.stdin.flush()
            said = [line.split(maxsplit=1) for line in nursery.stdout.readline().strip().split(";") if line]
            assert [words for words in said if words[0] == "failed"] == [], at
            heard |= {what: int(at) for what, at in said if what in heard}  # later ones have greater numbers
            appended |= {int(at) for what, at in said if what == "append"}
            number = max([number, *(int(at) for _, at in said)]) + 1  # the next one may have been committed unheard

            (value,) = set(lake.asset("numbers").to_arrow()["value"].to_pylist())
            assert value >= heard["together"], at
            (value,) = set(lake.asset("rows").to_arrow()["value"].to_pylist())
            assert value >= heard["change"], at
            logged = lake.asset("log").to_arrow()["value"].to_pylist()
            assert appended <= set(logged), at
            assert len(logged) == len(set(logged)), at
            if kill % LOOKS == 0:
                assert {str(found) for found in lake.check() if found.severity != "leftover"} == set(), at
        seen, _ = reader.communicate("", timeout=60)

    seen = json.loads(seen)
    assert seen["torn"] == []
    assert seen["polls"] > 0
    record_property("outcome", f"{kills} kills, {number} commits, {seen['polls']} polls, none torn, none lost")
    if LONG:  # among few, chance may leave any verb out
        assert len(appended) > 1
        assert min(heard.values()) > 0
    lake.asset("log").demote("cold", progress=False)  # ends moves that were interrupted
    for _ in range(2):
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
    lake.check(fix=True)  # writes the manifests of those who died a moment ago
    assert [str(found) for found in lake.check(checksums=True)] == []
    assert stray_files(lake) == set()
