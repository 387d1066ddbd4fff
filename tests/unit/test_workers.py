"""Worker threads that can be given up on."""

from __future__ import annotations

import threading

import pytest

from lakepart.engine.workers import Workers


def test_every_task_gives_its_result_under_its_ticket() -> None:
    workers: Workers[int, int] = Workers(lambda task: task * 10, 2)
    for ticket in range(20):
        workers.submit(ticket, ticket)

    results = [workers.next_result(10) for _ in range(20)]
    workers.stop()

    assert sorted(result for result in results if result is not None) == [(number, number * 10) for number in range(20)]


def test_no_result_in_time_is_none() -> None:
    workers: Workers[int, int] = Workers(lambda task: task, 1)

    assert workers.next_result(0.01) is None
    assert workers.running_for() == {}
    workers.stop()


def test_what_was_given_up_is_not_heard_of_again_whether_it_had_ended_or_not() -> None:
    released = threading.Event()

    def work(task: str) -> str:
        if task == "hangs":
            released.wait(10)
        return task

    workers = Workers(work, 1)
    workers.submit(1, "ends")
    workers.submit(2, "hangs")
    while 2 not in workers.running_for():
        pass
    workers.give_up(1)
    workers.give_up(2)
    workers.submit(3, "next")

    assert workers.next_result(10) == (3, "next")
    released.set()
    assert workers.next_result(0.05) is None
    workers.stop()


def test_only_tasks_that_nobody_has_begun_can_be_withdrawn() -> None:
    released = threading.Event()
    workers: Workers[int, bool] = Workers(lambda _: released.wait(10), 1)
    for ticket in range(3):
        workers.submit(ticket, ticket)
    while 0 not in workers.running_for():
        pass

    assert workers.withdraw() == [1, 2]
    assert workers.withdraw() == []
    released.set()
    assert workers.next_result(10) == (0, True)
    assert workers.next_result(0.05) is None
    workers.stop()


def test_what_ends_a_thread_is_raised_where_results_are_taken() -> None:
    def work(task: int) -> int:
        raise KeyboardInterrupt

    workers = Workers(work, 1)
    workers.submit(1, 1)

    with pytest.raises(KeyboardInterrupt):
        workers.next_result(10)
    workers.stop()


def test_who_stops_begins_nothing_that_was_queued() -> None:
    released, begun = threading.Event(), []

    def work(task: int) -> None:
        begun.append(task)
        released.wait(10)

    workers = Workers(work, 1)
    for ticket in range(3):
        workers.submit(ticket, ticket)
    while not begun:
        pass
    workers.stop()
    released.set()

    assert workers.next_result(10) == (0, None)
    assert workers.next_result(0.05) is None
    assert begun == [0]
