import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakepart.errors import InvalidInputError
from lakepart.model.move_limits import MoveLimits
from lakepart.storage.pacing import Pace


class Time:
    def __init__(self):
        self.now = 100.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def time():
    return Time()


def pace_of(time, per_second):
    return Pace(per_second, clock=lambda: time.now, sleep=time.sleep)


def test_each_amount_waits_until_those_before_it_have_had_their_time(time):
    pace = pace_of(time, 10)

    for amount in (5, 20, 1, 1):
        pace.take(amount)

    assert time.slept == [0.5, 2.0, 0.1]


def test_nothing_is_saved_up_while_nobody_asks(time):
    pace = pace_of(time, 10)
    pace.take()
    time.now += 60

    for _ in range(3):
        pace.take()

    assert time.slept == [0.1, 0.1]


def test_without_a_limit_nobody_waits(time):
    pace = pace_of(time, None)

    for _ in range(3):
        pace.take(10**12)

    assert time.slept == []


def test_threads_share_one_pace():
    waits, lock = [], threading.Lock()

    def sleep(seconds):
        with lock:
            waits.append(round(seconds, 6))

    pace = Pace(100, clock=lambda: 0.0, sleep=sleep)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pace.take, [1] * 50))

    assert sorted(waits) == [round(turn / 100, 6) for turn in range(1, 50)]  # the first does not wait


def test_limits_are_given_as_people_say_them():
    assert MoveLimits.given() == MoveLimits(workers=8, bytes_per_s=None, requests_per_s=None)
    assert MoveLimits.given(1, "50 MB", 0.5) == MoveLimits(1, 50_000_000, 0.5)
    assert MoveLimits.given(max_bandwidth=1000).bytes_per_s == 1000


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"workers": 0}, "workers=0"),
        ({"workers": 2.5}, "workers=2.5"),
        ({"max_bandwidth": "fast"}, "max_bandwidth='fast'"),
        ({"max_bandwidth": 0}, "max_bandwidth=0"),
        ({"max_requests": 0}, "max_requests=0"),
        ({"max_requests": -1}, "max_requests=-1"),
        ({"max_requests": float("nan")}, "max_requests=nan"),
    ],
)
def test_what_is_no_limit_is_refused(given, named):
    with pytest.raises(InvalidInputError, match=named):
        MoveLimits.given(**given)
