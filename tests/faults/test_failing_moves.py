"""Files that are copied side by side: one fails, one takes longer than a lease."""

import pickle
import threading
import time
from datetime import timedelta

import pytest

import lakepart as lp
from lakepart.catalog import moves
from lakepart.cli.exits import report_error
from lakepart.engine import side_by_side
from lakepart.model.instants import to_microseconds
from lakepart.storage.local import LocalStore
from lakepart.storage.s3 import S3Store
from lakepart.testing import FrozenClock, clock_of, copied, files_of, query_catalog, reopened, with_stores
from lakepart.testing.strict_s3 import StrictS3

HOUR = timedelta(hours=1)
KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


class WatchedStore(LocalStore):
    """A store that calls ``on_read`` with each path that is opened."""

    def __init__(self, root, on_read):
        super().__init__(root)
        self._on_read = on_read

    def open_read(self, path):
        self._on_read(path)
        return super().open_read(path)


def watched(lake, on_read):
    return with_stores(lake, {"hot": WatchedStore(f"{lake.url}/hot", on_read)})


def states_of(lake):
    return {state for (state,) in query_catalog(lake.url, "SELECT state FROM move")}


def test_a_failed_copy_is_reported_after_those_beside_it_have_ended(lake, rows_of, assert_undamaged):
    expected, failed, ended = rows_of(lake), threading.Event(), []

    def read(path):
        if KEYS[0] in path:
            failed.set()
            raise lp.StorageError("The disk is gone.")
        failed.wait(5)
        time.sleep(0.1)
        ended.append(path)

    with pytest.raises(lp.StorageError, match="gone"):
        watched(lake, read).asset("numbers").demote("cold", progress=False)

    ended_before, copied_before = list(ended), files_of(lake.url)
    time.sleep(0.2)
    assert (ended, files_of(lake.url)) == (ended_before, copied_before)
    assert states_of(lake) == {"aborted"}
    assert rows_of(lake) == expected
    assert_undamaged(lake)
    lake.asset("numbers").demote("cold", progress=False)
    assert lake.asset("numbers").in_tier("cold").keys == KEYS


def test_the_leases_of_a_long_group_are_renewed_while_it_is_copied(lake, monkeypatch):
    monkeypatch.setattr(side_by_side, "_SAID_EVERY_S", 0.01)
    clock = clock_of(lake)
    reports = []

    def read(path):
        if KEYS[0] in path:
            clock.advance(timedelta(minutes=9))
            due = to_microseconds(clock() + timedelta(minutes=9))
            deadline = time.monotonic() + 5
            while query_catalog(lake.url, "SELECT min(lease_until_us) FROM move")[0][0] < due:
                assert time.monotonic() < deadline, "not renewed"
                time.sleep(0.01)
            clock.advance(timedelta(minutes=9))
            reports.append(reopened(lake).asset("numbers").demote("cold", progress=False))

    report = watched(lake, read).asset("numbers").demote("cold", progress=False)

    assert report.partitions == 3
    assert [(other.finished, other.partitions, len(other.skipped)) for other in reports] == [(0, 0, 3)]
    assert states_of(lake) == {"done"}


def test_those_beside_a_failed_copy_are_given_up_however_slow_they_are(lake, rows_of, assert_undamaged):
    expected, begun = rows_of(lake), threading.Barrier(len(KEYS), timeout=5)

    def read(path):
        begun.wait()
        if KEYS[0] in path:
            raise lp.StorageError("The disk is gone.")

    with pytest.raises(lp.StorageError, match="gone"):
        watched(lake, read).asset("numbers").demote("cold", max_bandwidth=1, progress=False)  # an hour and more

    assert states_of(lake) == {"aborted"}
    assert rows_of(lake) == expected
    assert_undamaged(lake)


def test_an_interrupt_ends_copies_however_slow_they_are(lake, rows_of, assert_undamaged, monkeypatch):
    expected = rows_of(lake)
    monkeypatch.setattr(side_by_side, "_SAID_EVERY_S", 0.01)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lakepart.catalog.moves.renew", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lake.asset("numbers").demote("cold", max_bandwidth=1, progress=False)

    assert states_of(lake) == {"aborted"}
    assert rows_of(lake) == expected
    assert_undamaged(lake)


def test_an_error_tells_what_was_moved_before_it(lake, monkeypatch, capsys):
    monkeypatch.setattr("lakepart.engine.move._CLAIMED_AT_ONCE", 1)

    def read(path):
        if KEYS[2] in path:
            raise lp.StorageError("The disk is gone.")

    with pytest.raises(lp.StorageError, match="gone") as caught:
        watched(lake, read).asset("numbers").demote("cold", progress=False)

    assert caught.value.context["report"].partitions == 2
    assert "Moved 2 partitions, 2 files" in caught.value.__notes__[0]
    assert pickle.loads(pickle.dumps(caught.value)).context == caught.value.context
    report_error(caught.value, as_json=False)
    assert "stays done: Moved 2 partitions" in capsys.readouterr().err
    assert lake.asset("numbers").in_tier("cold").keys == KEYS[:2]


def test_a_dead_movers_failure_is_told_as_such_and_stands_in_the_way_once(lake, capsys):
    numbers, context = lake.asset("numbers"), lake._home.context
    planned = numbers[KEYS[0]].plan_demote("cold")
    moves.claim(context.database, planned.moves, holder="elsewhere/abc:1:2", lease_us=1)
    clock_of(lake).advance(HOUR)
    context.stores["hot"].delete(planned.moves[0].files[0].path)

    with pytest.raises(lp.NotFoundError) as caught:
        numbers[KEYS[1]].demote("cold", progress=False)

    report_error(caught.value, as_json=False)
    assert "a dead process had begun" in capsys.readouterr().err
    assert numbers[KEYS[1]].demote("cold", progress=False).partitions == 1


def test_an_error_before_anything_was_moved_tells_of_nothing(lake):
    def read(path):
        raise lp.StorageError("The disk is gone.")

    with pytest.raises(lp.StorageError) as caught:
        watched(lake, read).asset("numbers").demote("cold", progress=False)

    assert "report" not in caught.value.context
    assert not hasattr(caught.value, "__notes__")


def test_an_error_tells_what_was_compacted_before_it(lake, frame, monkeypatch):
    monkeypatch.setattr("lakepart.engine.compact._PARTITIONS_AT_ONCE", 1)
    lake.asset("numbers").append(frame((1, 7), (2, 7), (3, 7)))

    def read(path):
        if KEYS[2] in path:
            raise lp.StorageError("The disk is gone.")

    with pytest.raises(lp.StorageError, match="gone") as caught:
        watched(lake, read).asset("numbers").compact(progress=False)

    assert caught.value.context["report"].partitions == 2
    assert "Compacted 2 partitions" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("skew_of_holder", "skew_of_other"), [(HOUR, 0 * HOUR), (0 * HOUR, -HOUR)], ids=["it is behind", "others are ahead"]
)
def test_a_living_mover_is_left_alone_by_machines_whose_clocks_differ(
    template, tmp_path, new_schema, monkeypatch, skew_of_holder, skew_of_other
):
    lake = copied(template, tmp_path / "lake", catalog=new_schema())
    other = reopened(lake, clock=FrozenClock(clock_of(lake)() + HOUR))
    for handle, skew in ((lake, skew_of_holder), (other, skew_of_other)):  # of the database's clock, as it is measured
        backend = handle._home.context.database.backend
        monkeypatch.setattr(backend, "skew_us", lambda _, skew=skew: skew // timedelta(microseconds=1))
    reports = []

    def read(path):
        if KEYS[0] in path:
            reports.append(other.asset("numbers").demote("cold", progress=False))

    moved = watched(lake, read).asset("numbers").demote("cold", progress=False)

    assert [(report.finished, report.partitions, len(report.skipped)) for report in reports] == [(0, 0, 3)]
    assert moved.partitions == 3


def test_check_leaves_a_move_out_that_somebody_works_on(lake):
    found = []

    def read(path):
        if KEYS[0] in path:
            found.extend(one.kind for one in reopened(lake).check())

    watched(lake, read).asset("numbers").demote("cold", progress=False)

    assert "interrupted-move" not in found


def test_a_catalog_that_is_away_while_files_are_copied_does_not_end_the_move(lake, monkeypatch):
    monkeypatch.setattr(side_by_side, "_SAID_EVERY_S", 0.01)
    away = threading.Event()

    def refuse(*_, **__):
        away.set()
        raise lp.CatalogError("The database hung up.")

    def read(path):
        assert away.wait(5)

    watching = watched(lake, read)
    monkeypatch.setattr(moves, "renew", refuse)

    assert watching.asset("numbers").demote("cold", progress=False).partitions == 3


def test_parts_of_a_file_that_is_being_moved_are_no_leftovers_however_long_it_takes(lake, rows_of):
    expected, clock = rows_of(lake), clock_of(lake)
    server = StrictS3(clock, smallest_part_bytes=1)
    cold = S3Store(server.make_bucket("cold"), client=server.client, part_bytes=100, whole_bytes=0)
    moving = with_stores(lake, {"cold": cold})
    found, vacuumed = [], threading.Event()

    def vacuum_meanwhile(**_):
        if not vacuumed.is_set():
            vacuumed.set()
            clock.advance(timedelta(days=2))
            found.extend(one.kind for one in moving.check())
            moving.vacuum(progress=False)

    server.client().meta.events.register("provide-client-params.s3.UploadPart", vacuum_meanwhile)
    assert moving.asset("numbers").demote("cold", workers=1, progress=False).partitions == 3

    assert vacuumed.is_set()
    assert "temporary-file" not in found
    assert rows_of(moving) == expected


def test_parts_that_a_dead_mover_left_are_leftovers_where_the_file_has_arrived_since(lake):
    clock = clock_of(lake)
    server = StrictS3(clock, smallest_part_bytes=1)
    cold = S3Store(server.make_bucket("cold"), client=server.client, part_bytes=100, whole_bytes=0)
    moved = with_stores(lake, {"cold": cold})
    moved.asset("numbers").demote("cold", progress=False)
    (path, *_) = sorted(one.path for one in cold.list())
    cold._bucket.begin_parts(path)
    clock.advance(timedelta(days=2))

    moved.vacuum(progress=False)

    assert server._uploads._uploads == {}
    assert cold.stat(path) is not None
