"""A process killed at any touch of the file system while it makes a lake: the place holds a lake, or can get one."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp

# One interpreter forks a child for every touch; the n-th child is killed at its n-th. It has no threads to lose.
DYING = """
import os, signal, sys
from itertools import count
from pathlib import Path
import lakepart, lakepart.lake, lakepart.storage.local

root = Path(sys.argv[1])
TOUCHES = {"open", "os.mkdir", "os.link", "os.remove", "os.rename", "sqlite3.connect"}

def create(folder, fatal):
    touches = count()
    def watch(event, arguments):
        if event in TOUCHES and str(folder) in str(arguments[0]) and next(touches) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    lakepart.create(folder)

for fatal in count():
    folder = root / f"{fatal:03d}"
    child = os.fork()
    if child == 0:
        create(folder, fatal)
        os._exit(0)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        break
"""


@pytest.fixture(scope="module")
def dead(tmp_path_factory):
    """Give the places where a process died while making a lake; the last is where one came through."""
    root = tmp_path_factory.mktemp("creating")
    subprocess.run([sys.executable, "-c", DYING, str(root)], check=True, timeout=60, capture_output=True)
    last = max(int(place.name) for place in root.iterdir())
    assert last > 8
    return [root / f"{number:03d}" for number in range(last + 1)]


def test_whatever_is_left_is_either_a_whole_lake_or_none(dead):
    outcomes = set()
    for number, place in enumerate(dead):
        try:
            lake = lp.connect(place)
            outcomes.add("connected")
        except lp.LakeNotFoundError:
            lake = lp.create(place)
            outcomes.add("created")
        asset = lake.asset("a", partitions=lp.Unpartitioned())
        asset.write(pa.table({"number": [number]}))

        assert asset.to_pandas()["number"].tolist() == [number]
        assert {finding.kind for finding in lake.check()} <= {"temporary-file"}, place
        assert Path(place, "_lakepart/lake.json").is_file()
        lake.close()
    assert outcomes == {"connected", "created"}
