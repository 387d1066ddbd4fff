"""Stores and lakes on a disk that is full or read-only, and in a process that is killed; needs Linux and privileges."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakepart.storage.base import is_temporary

PRELUDE = """
import sys
from pathlib import Path
from lakepart.errors import StorageError
from lakepart.storage.local import LocalStore
root = Path(sys.argv[1])
store = LocalStore(root / "lake")
def names():
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))
"""
FULL = """
store.put_new("kept", b"x")
for call in (lambda: store.put_new("a/b", bytes(4 << 20)), lambda: fill(False), lambda: fill(True)):
    try:
        call()
    except StorageError as error:
        print(error.code, names())
"""
FILL = """
def fill(whole):
    with store.open_new("a/b/c", whole=whole) as sink:
        for _ in range(64):
            sink.write(bytes(64 << 10))
"""
READ_ONLY = """
import subprocess
store.put_new("kept", b"x")
subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
for call in (lambda: store.put_new("a/b", b""), lambda: store.open_new("a"), lambda: store.delete("kept")):
    try:
        call()
    except StorageError as error:
        print(error.code, "read-only" in error.hint, store.read_bytes("kept"))
"""
LAKE = """
import os
import random
from datetime import date
import pyarrow as pa
import lakepart as lp
def frame(rows):
    noise = pa.array([random.randbytes(64) for _ in range(rows)], pa.binary())
    return pa.table({"day": [date(2024, 1, 1)] * rows, "noise": noise})
def fill(leaving):
    free = os.statvfs(root)
    with open(root / "filler", "wb") as filler:
        filler.write(bytes(free.f_bavail * free.f_frsize - leaving))
lake = lp.create(root / "lake")
numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
numbers.write(frame(10))
before = numbers.to_arrow()
for leaving in (200_000, 0):
    fill(leaving)
    for rows in (1, 8_000):
        seen = numbers.to_arrow()
        try:
            numbers.append(frame(rows))
            print("room")
        except StorageError as error:
            print(error.code)
            assert numbers.to_arrow().equals(seen)
    (root / "filler").unlink()
    damage = [str(found) for found in lake.check(checksums=True) if found.severity == "damage"]
    assert not damage, damage
    numbers.write(before, "2024-01-01")
print(len(numbers.history()), numbers.to_arrow().equals(before))
"""
SHELL = 'mount -t tmpfs -o size=3m none "$1" && exec "$2" -c "$3" "$1"'


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", str(folder)], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.fixture
def on_a_small_disk(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("mounting a small filesystem needs Linux, unshare and root")

    def run(program):
        command = ["unshare", "-m", "sh", "-c", SHELL, "sh", str(tmp_path), sys.executable, PRELUDE + program]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()

    return run


def test_a_full_disk_is_said_so_and_nothing_torn_stays(on_a_small_disk):
    assert on_a_small_disk(FILL + FULL) == ["disk-full ['lake', 'lake/kept']"] * 3


def test_a_lake_on_a_full_disk_says_so_loses_nothing_and_goes_on_with_room(on_a_small_disk):
    assert on_a_small_disk(LAKE) == ["room", "disk-full", "disk-full", "disk-full", "4 True"]


def test_a_read_only_disk_is_said_so_and_still_read(on_a_small_disk):
    assert on_a_small_disk(READ_ONLY) == ["permission True b'x'"] * 3


@pytest.mark.parametrize(("call", "named"), [("link", False), ("unlink", True)])
def test_a_put_killed_around_its_link_leaves_all_or_nothing(tmp_path, call, named):
    if shutil.which("strace") is None:
        pytest.skip("killing a process at a system call needs strace")
    program = PRELUDE + 'store.put_new("a/b", b"bytes")'
    command = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", f"trace=?{call},{call}at"]
    command += ["-e", f"inject=?{call},{call}at:signal=KILL:when=1", sys.executable, "-B", "-c", program, str(tmp_path)]

    subprocess.run(command, capture_output=True, check=False, timeout=60)

    files = {path.name: path.read_bytes() for path in (tmp_path / "lake").rglob("*") if path.is_file()}
    assert set(files.values()) == {b"bytes"}
    assert ("b" in files) is named
    assert [name for name in files if is_temporary(name)] == [name for name in files if name != "b"]
    assert len(files) == 1 + named
