"""Which work is known to go on, which to have ended, and of which a process cannot know."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lakepart.engine.processes import at_work, is_alive

SAY_NAME = "from lakepart.engine.processes import at_work\nwith at_work('1') as name: print(name)"
WAIT = "; import sys; sys.stdout.flush(); sys.stdin.read()"


def name_of_work_in(*command: str) -> str:
    return subprocess.run(
        [*command, sys.executable, "-c", SAY_NAME], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_work_of_this_process_is_alive_while_its_block_runs() -> None:
    with at_work("1") as name:
        during = is_alive(name)

    assert (during, is_alive(name)) == (True, False)


def test_work_ends_with_its_block_however_that_is_left() -> None:
    with pytest.raises(ZeroDivisionError), at_work("1") as name:
        raise ZeroDivisionError

    assert is_alive(name) is False


def test_work_of_a_process_of_this_machine_that_has_ended_is_over() -> None:
    assert is_alive(name_of_work_in()) is False


def test_of_another_process_that_is_there_nothing_is_known_for_its_id_may_be_a_new_one() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", SAY_NAME + WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with waiting:
        name = waiting.stdout.readline().strip()
        known = is_alive(name)
        waiting.stdin.close()

    assert known is None


def test_a_container_that_has_our_host_name_and_counts_processes_itself_is_another_machine() -> None:
    theirs = name_of_work_in("unshare", "--user", "--map-root-user", "--pid", "--fork").rsplit(":", 2)
    ended = name_of_work_in().rsplit(":", 2)

    assert theirs[0].split("/")[0] == ended[0].split("/")[0]
    assert is_alive(f"{theirs[0]}:{ended[1]}:1") is None  # there, that process may be at work


@pytest.mark.parametrize("name", ["elsewhere/0a1b2c:1:x", "elsewhere:1:x"])
def test_of_another_machine_nothing_is_known(name) -> None:
    assert is_alive(name) is None
