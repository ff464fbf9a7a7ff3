"""Statistics, advice, sampling: arithmetic alone."""

import pytest

from optimizer.measures.histogram import bucket_of
from optimizer.pools.engine.advice import Observed, advise, deadlock_floor, little
from optimizer.pools.engine.leaks import Sampler
from optimizer.pools.engine.statistics import Statistics, Totals

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]


def test_totals_add_up_and_come_apart():
    one = Statistics()
    one.connected(0.01)
    for _ in range(10):
        one.acquired += 1
        one.used(0.002)
    early = one.totals()
    one.acquired += 1
    one.queued += 1
    one.waited(0.5)
    late = one.totals()
    news = late.since(early)
    assert (news.acquired, news.queued, news.waits) == (1, 1, {bucket_of(0.5): 1})
    assert news.uses == {} and early.plus(news) == late
    assert late.saved_seconds == pytest.approx(0.1) and late.reuse_ratio == pytest.approx(10 / 11)
    assert early.mean_use_seconds == pytest.approx(0.002)


def test_who_did_not_wait_counts_in_percentiles():
    found = Totals(acquired=100, queued=2, waits={bucket_of(0.1): 1, bucket_of(1.0): 1})
    assert found.wait_percentile(0.5) == 0.0
    assert found.wait_percentile(0.985) == pytest.approx(0.1, rel=0.25)
    assert found.wait_percentile(1.0) == pytest.approx(1.0, rel=0.25)
    assert Totals().wait_percentile(0.99) == 0.0 and Totals().reuse_ratio == 0.0


@pytest.mark.parametrize(("rate", "hold", "size"), [(0, 1, 0), (100, 0.04, 8), (400, 0.01, 8)])
def test_littles_law(rate, hold, size):
    assert little(rate, hold)[1] == size


def test_the_floor_against_deadlocks():
    assert deadlock_floor(8, 1) == 1
    assert deadlock_floor(8, 3) == 17
    assert deadlock_floor(8, 0) == 1


def observed(rate=100.0, hold=0.04, wait=0.0, threads=4, held=1):
    return Observed(rate, hold, wait, threads, held)


def test_advice_puts_the_ways_side_by_side():
    found = advise(observed(), now=20, processes=3, server_cores=4, server_room=None)
    assert (found.little, found.hikari, found.deadlock_floor, found.suggested) == (8, 3, 1, 8)
    assert found.busy == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("given", "room", "size", "because"),
    [
        (observed(rate=0), None, 8, "nothing came lately"),
        (observed(held=4), None, 13, "block one another"),
        (observed(rate=10, wait=1.0), None, 10, "callers wait"),
        (observed(rate=1000), 30, 10, "no more room"),
    ],
)
def test_what_is_suggested_has_a_reason(given, room, size, because):
    found = advise(given, now=8, processes=3, server_cores=0, server_room=room)
    assert found.suggested == size and because in found.because


def test_of_so_many_one_is_sampled():
    assert [Sampler(0).due() for _ in range(3)] == [False] * 3
    every_second = Sampler(2)
    assert [every_second.due() for _ in range(4)] == [False, True, False, True]
