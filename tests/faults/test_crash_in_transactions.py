"""A process that dies in a transaction leaves all of it or nothing, and nothing but leftovers."""

# ruff: noqa: PT012 - a transaction is a block

import pytest

from lakepart.testing import effects_of, interrupt_everywhere, query_catalog, stray_files


def transact(lake, frame):
    with lake.transaction("two assets") as tx:
        numbers = tx.asset("numbers")
        numbers.write(frame((1, 100)), "2024-01-01")
        numbers.append(frame((2, 20), (5, 5)))
        numbers.write(frame((1, 101)), "2024-01-01")
        tx.asset("tens").write(frame((2, 200)), "2024-01-02")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_in_a_transaction_leaves_all_of_it_or_nothing(survives, frame, when):
    assert survives(lambda lake: transact(lake, frame), when) >= 12


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_in_a_transaction_leaves_no_file_and_no_note(make, frame, rows_of, when):
    before = rows_of(make())
    done = make()
    transact(done, frame)
    after = rows_of(done)

    for stopped in interrupt_everywhere(make, lambda lake: transact(lake, frame), when=when):
        lake, at = stopped.lake, stopped.at
        assert rows_of(lake) in (before, after), at
        if rows_of(lake) == before:
            assert query_catalog(lake.url, "SELECT count(*) FROM intent") in ([(0,)], [(1,)]), at
        assert {found.severity for found in lake.check(checksums=True)} <= {"leftover"}, at


def test_a_block_that_is_left_by_an_exception_deletes_every_file_it_made(lake, frame, rows_of):
    expected = rows_of(lake)

    with pytest.raises(ZeroDivisionError), lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 100)), "2024-01-01")
        raise ZeroDivisionError

    assert rows_of(lake) == expected
    assert stray_files(lake.url) == set()
    assert [str(found) for found in lake.check(checksums=True)] == []


def test_a_block_costs_two_small_transactions_and_one_commit_whatever_it_writes(lake, frame):
    def effects(count):
        def act(lake):
            with lake.transaction() as tx:
                for value in range(count):
                    tx.asset("numbers").append(frame((1, value)))

        return [name for name in effects_of(lake, act) if name.startswith("commit")]

    assert len(effects(1)) == len(effects(4)) == 3
