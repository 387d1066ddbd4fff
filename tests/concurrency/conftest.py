"""Programs that real processes run on one lake, at once."""

import json
import subprocess
import sys

import pytest

# One interpreter, with everything imported and compiled, forks a process for each program and lets them go together.
NURSERY = """
import json, os, sys, tempfile, traceback
from datetime import date, timedelta
import pyarrow as pa, pyarrow.parquet
import lakepart as lp, lakepart.lake, sqlalchemy

def frame(day, value, **more):
    days = pa.array([date(2024, 1, 1) + timedelta(days=day)], pa.date32())
    return pa.table({"day": days, "value": pa.array([value], pa.int64()), **more})

def named(error):
    "Whoever loses is told to whom: partition, snapshot, author and time."
    told = error.context.get("conflicts") or [error.context]
    assert all(one["snapshot"] and one["author"] and one["at"] for one in told), error.context
    assert all(f"snapshot {one['snapshot']} by {one['author']} at {one['at']}" in str(error) for one in told), error
    assert error.code == "asset-changed" or all(repr(one["key"]) in str(error) for one in told), error
    return error

def until_won(act):
    while True:
        try:
            return act()
        except lp.ConflictError as error:
            named(error)
            print("lost")

with tempfile.TemporaryDirectory() as folder, lp.create(folder + "/lake") as warm:
    asset = warm.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    asset.write(frame(0, 0))
    asset.to_arrow()

url, turns, programs, outputs = json.loads(sys.stdin.readline())
ready, told_ready = os.pipe()
waiting, told_go = os.pipe()
children = []
for me, (program, output) in enumerate(zip(programs, outputs)):
    child = os.fork()
    if child == 0:
        ends = 1
        try:
            os.close(told_go)
            sys.stdout = open(output, "w")
            numbers = lp.connect(url).asset("numbers")
            os.write(told_ready, b"r")
            os.read(waiting, 1)
            exec(compile(program, f"<program {me}>", "exec"), globals())
            sys.stdout.close()
            ends = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(ends)
    children.append(child)
os.close(told_ready)
heard = b""
while len(heard) < len(children) and (more := os.read(ready, 64)):
    heard += more
os.close(told_go)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children))
"""


@pytest.fixture
def run_together(tmp_path):
    """Run a process for each program, all at once, and wait for all; gives the lines that each one printed."""

    def run(lake, programs, turns):
        lake.close()
        outputs = [tmp_path / f"output-{me}" for me in range(len(programs))]
        told = json.dumps([lake.url, turns, programs, list(map(str, outputs))])
        ended = subprocess.run(
            [sys.executable, "-c", NURSERY],
            input=told + "\n",
            capture_output=True,
            text=True,
            timeout=1000,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return [output.read_text().splitlines() for output in outputs]

    return run
