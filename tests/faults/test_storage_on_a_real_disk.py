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
VERBS = """
import os
import shutil
import warnings
from datetime import date, timedelta
import pyarrow as pa
import lakepart as lp
warnings.simplefilter("ignore")  # that a manifest is not written yet
url, backup, whole = root / "lake", root / "backup.db", root / "whole"
def frame(*values):
    return pa.table({"day": [date(2024, 1, 1 + at) for at in range(len(values))], "value": values})
def fill(leaving):
    free = os.statvfs(root)
    with open(root / "filler", "wb") as filler:
        filler.write(bytes(free.f_bavail * free.f_frsize - leaving))
def seen():
    with lp.connect(url) as lake:
        damage = [str(found) for found in lake.check(checksums=True) if found.severity == "damage"]
        assert not damage, damage
        return sorted(lake.asset("numbers").to_arrow()["value"].to_pylist())
def lose_catalog():
    for left in url.glob("catalog.db*"):
        left.unlink()
def spoil():
    for path in [url / "_lakepart/commits/000000000002.json", *(url / "_lakepart/tags").iterdir()]:
        path.write_bytes(b"{")
def connected(act):
    def verb():
        with lp.connect(url) as lake:
            act(lake, lake.asset("numbers"))
    return verb
undo = connected(lambda lake, numbers: numbers.rollback(to=1))
forget = dict(retention=timedelta(0), grace=timedelta(0), force=True, progress=False)
nothing, both, all_rows = (lambda: None), [1, 2, 3, 10], [1, 2, 3, 10, 20]
VERBS = {
    "delete": (nothing, connected(lambda lake, numbers: numbers.delete([("value", "==", 10)])), [1, 2, 3, 20]),
    "upsert": (nothing, connected(lambda lake, numbers: numbers.upsert(frame(10, 5), on=["value"])), [*all_rows, 5]),
    "compact": (nothing, connected(lambda lake, numbers: numbers.compact(progress=False)), all_rows),
    "roll back": (nothing, undo, [1, 2, 3]),
    "demote": (nothing, connected(lambda lake, numbers: numbers.demote("cold", progress=False)), all_rows),
    "repartition": (
        nothing, connected(lambda lake, numbers: numbers.repartition(lp.Monthly("2024-01", by="day"))), all_rows
    ),
    "vacuum": (undo, connected(lambda lake, numbers: lake.vacuum(**forget)), [1, 2, 3]),
    "tag": (nothing, connected(lambda lake, numbers: lake.tag("more", at=2)), all_rows),
    "mend": (spoil, connected(lambda lake, numbers: lake.check(checksums=True, fix=True)), all_rows),
    "back up": (nothing, lambda: lp.backup_catalog(url, backup), all_rows),
    "copy": (nothing, lambda: lp.copy_catalog(url, backup), all_rows),
    "restore": (lose_catalog, lambda: lp.restore_catalog(url, root / "kept.db"), all_rows),
    "rebuild": (lose_catalog, lambda: lp.rebuild(url), all_rows),
    "rebuild an older state": (nothing, lambda: lp.rebuild(url, to=2, replace=True), both),
}
with lp.create(url) as lake:
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame(1, 2, 3))
    for value in (10, 20):
        numbers.append(frame(value))
    lake.tag("kept", at=1)
lp.backup_catalog(url, root / "kept.db")
shutil.copytree(url, whole)
for name, (prepare, verb, after) in VERBS.items():
    outcomes = []
    for leaving in (0, 60_000, 200_000):
        prepare()
        is_lost = not (url / "catalog.db").exists()
        before = None if is_lost else seen()
        places = {*root.iterdir(), root / "kept.db-shm", root / "kept.db-wal"}
        fill(leaving)
        try:
            verb()
            outcomes.append("done")
        except StorageError as error:
            outcomes.append(error.code)
        (root / "filler").unlink()
        if outcomes[-1] == "disk-full":
            assert {*root.iterdir()} <= places, {*root.iterdir()} - places
            assert is_lost is not (url / "catalog.db").exists()
            assert is_lost or seen() == before
            verb()
        assert seen() == sorted(after)
        backup.unlink(missing_ok=True)
        shutil.rmtree(url)
        shutil.copytree(whole, url)
    print(name, *sorted({*outcomes}))
"""
SHELL = 'mount -t tmpfs -o "size=$4" none "$1" && exec "$2" -c "$3" "$1"'


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

    def run(program, size="3m"):
        command = ["unshare", "-m", "sh", "-c", SHELL, "sh", str(tmp_path), sys.executable, PRELUDE + program, size]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=110).stdout.splitlines()

    return run


def test_a_full_disk_is_said_so_and_nothing_torn_stays(on_a_small_disk):
    assert on_a_small_disk(FILL + FULL) == ["disk-full ['lake', 'lake/kept']"] * 3


def test_a_lake_on_a_full_disk_says_so_loses_nothing_and_goes_on_with_room(on_a_small_disk):
    assert on_a_small_disk(LAKE) == ["room", "disk-full", "disk-full", "disk-full", "4 True"]


def test_a_full_disk_is_said_so_by_every_verb_that_changes_nothing_then_and_works_with_room(on_a_small_disk):
    said = on_a_small_disk(VERBS, "8m")

    assert len(said) == 14
    assert [line for line in said if not line.endswith(("disk-full", "disk-full done"))] == []
    assert len([line for line in said if line.endswith("done")]) >= 3, said


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
