"""Programs that real processes run on one lake, at once."""

import subprocess
import sys

import pytest

PRELUDE = """
import sys
from datetime import date, timedelta
import pyarrow as pa
import lakepart as lp
me, turns = int(sys.argv[2]), int(sys.argv[3])
def frame(day, value):
    return pa.table({"day": [date(2024, 1, 1) + timedelta(days=day)], "value": pa.array([value], pa.int64())})
numbers = lp.connect(sys.argv[1]).asset("numbers")
print("ready", flush=True)
sys.stdin.readline()
"""


def run_together(lake, programs, turns):
    """Start a process for each program, let them begin at once, and wait for all; gives the lines each one printed."""
    lake.close()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program, lake.url, str(me), str(turns)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me, program in enumerate(programs)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = []
    for process in running:
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        outputs.append(output.splitlines())
    return outputs


@pytest.fixture(name="run_together")
def give_run_together():
    return run_together
