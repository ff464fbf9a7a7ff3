import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.queries.engine.cache_advice import (
    Limits,
    Observed,
    Verdict,
    advise,
    hit_ratio,
    life_seconds,
)

pytestmark = pytest.mark.any_database

WINDOW_SECONDS = 3600.0
GOOD = Observed("books", calls=36_000, distinct=20, seconds=360.0, result_bytes=1000)


def advice_on(query, limits=None, *, all_seconds=1000.0):
    (found,) = advise([query], WINDOW_SECONDS, all_seconds, limits)
    return found


def simulated(rates, ttl, writes_per_second, reads, seed=1):
    """Return the share of hits among Poisson reads of keys, all invalidated by Poisson writes."""
    rng = random.Random(seed)  # noqa: S311  # a simulation
    expires = dict.fromkeys(range(len(rates)), 0.0)
    now, hits, all_rates = 0.0, 0, sum(rates)
    next_write = rng.expovariate(writes_per_second) if writes_per_second else float("inf")
    for key in rng.choices(range(len(rates)), weights=rates, k=reads):
        now += rng.expovariate(all_rates)
        while next_write <= now:
            expires = dict.fromkeys(expires, 0.0)
            next_write += rng.expovariate(writes_per_second)
        if now < expires[key]:
            hits += 1
        else:
            expires[key] = now + ttl
    return hits / reads


@pytest.mark.parametrize("reads_per_second", [0.05, 0.5, 5])
@pytest.mark.parametrize("ttl", [5, 60])
@pytest.mark.parametrize("writes_per_second", [0, 0.01, 0.2])
def test_hits_are_those_of_a_simulation(reads_per_second, ttl, writes_per_second):
    found = hit_ratio(reads_per_second, ttl, writes_per_second)
    rates = [reads_per_second] * 20
    assert found == pytest.approx(simulated(rates, ttl, writes_per_second, 60_000), abs=0.02)


def test_keys_that_are_not_equally_popular_hit_more_often_than_is_said():
    rates = [1 / (1 + rank) for rank in range(100)]
    said = hit_ratio(sum(rates) / len(rates), 20, 0.01)
    assert simulated(rates, 20, 0.01, 30_000) > said + 0.05


@given(st.floats(0.01, 1e5), st.floats(0, 1e3), st.floats(1, 2))
def test_a_life_ends_by_time_or_by_a_write(ttl, writes_per_second, more):
    life = life_seconds(ttl, writes_per_second)
    assert 0 < life <= ttl
    assert life * writes_per_second <= 1 + 1e-9
    assert life_seconds(ttl * more, writes_per_second) >= life * (1 - 1e-9)


def test_a_life_has_no_step_where_there_are_next_to_no_writes():
    assert life_seconds(100, 0) == 100
    assert life_seconds(100, 0.99e-11) == pytest.approx(life_seconds(100, 1.01e-11))


def test_a_query_worth_caching_is_told_in_numbers():
    limits = Limits(
        read_seconds=0.001, store_seconds=0.002, invalidation_seconds=0.004, ttls_seconds=()
    )
    found = advice_on(replace(GOOD, writes_per_second=0.01), limits)
    life = (1 - 2.718281828459045**-3) / 0.01  # w T = 0.01 x 300
    hits = 0.5 * life / (1 + 0.5 * life)
    assert found.verdict is Verdict.CACHE
    assert found.ttl_seconds == 300
    assert found.hit_ratio == pytest.approx(hits)
    gain = 10 * (hits * 0.009 - (1 - hits) * 0.002) - 0.01 * 0.004
    assert found.gain_ms_per_second == pytest.approx(gain * 1000)
    assert found.cache_bytes == 20_000
    assert found.gain_per_byte == pytest.approx(gain * 1000 / 20_000)
    assert "98% hit" in found.reason
    assert "36000 calls with 20 distinct parameters, 10 ms each" in found.reason


def test_the_shortest_ttl_that_gains_nearly_all_is_proposed():
    limits = Limits(longest_ttl_seconds=3000)
    found = advice_on(GOOD, limits)
    most = advice_on(GOOD, replace(limits, ttls_seconds=()))
    shorter = advice_on(GOOD, Limits(longest_ttl_seconds=30, ttls_seconds=()))
    assert (found.ttl_seconds, most.ttl_seconds) == (60, 3000)
    assert found.gain_ms_per_second >= 0.95 * most.gain_ms_per_second
    assert shorter.gain_ms_per_second < 0.95 * most.gain_ms_per_second


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"locking": True}, "locks"),
        ({"volatile": True}, "changes by itself"),
        ({"after_own_write": True}, "own transaction"),
        ({"calls": 99, "seconds": 99.0}, "only 99 calls; 100"),
        ({"writes_per_second": 5.0}, "of reads would hit"),
        ({"distinct": 20_000}, "44% of reads would hit"),  # of 36,000 that many are the first
        ({"seconds": 36_000 * 0.0001}, "costs what it saves"),
        ({"calls": 100, "distinct": 1, "seconds": 10.0}, "of all time"),
    ],
)
def test_what_is_not_worth_it_or_not_safe_is_left_with_a_reason(changes, reason):
    assert advice_on(GOOD).verdict is Verdict.CACHE
    limits = Limits(longest_ttl_seconds=100_000)
    found = advice_on(replace(GOOD, **changes), limits)
    assert found.verdict is Verdict.LEAVE
    assert reason in found.reason


def test_what_is_not_safe_is_not_memoised_either():
    repeated = replace(GOOD, repeats=30_000)
    assert advice_on(repeated).verdict is Verdict.MEMOISE
    for unsafe in (
        replace(repeated, locking=True),
        replace(repeated, volatile=True),
        replace(repeated, after_own_write=True),
    ):
        assert advice_on(unsafe).verdict is Verdict.LEAVE


def test_repeats_within_a_unit_are_for_it_to_remember():
    found = advice_on(replace(GOOD, repeats=30_000))
    assert found.gain_ms_per_second == pytest.approx(30_000 * 10 / WINDOW_SECONDS)
    assert "30000 of 36000 calls" in found.reason
    few = advice_on(replace(GOOD, repeats=1000))
    assert few.verdict is Verdict.CACHE
    assert few.gain_ms_per_second < advice_on(GOOD).gain_ms_per_second  # it has no part in them


def test_advice_comes_in_the_order_of_its_worth():
    queries = [
        replace(GOOD, fingerprint="unsafe", locking=True),
        replace(GOOD, fingerprint="small repeats", repeats=20_000),
        replace(GOOD, fingerprint="large", result_bytes=50_000, seconds=720.0),
        replace(GOOD, fingerprint="repeats", repeats=30_000),
        GOOD,
    ]
    found = advise(queries, WINDOW_SECONDS, 3000.0)
    assert [one.fingerprint for one in found] == [
        "books",
        "large",
        "repeats",
        "small repeats",
        "unsafe",
    ]


@given(
    st.builds(
        Observed,
        fingerprint=st.just("any"),
        calls=st.integers(0, 10**7),
        distinct=st.integers(0, 10**7),
        seconds=st.floats(0, 1e5),
        result_bytes=st.floats(0, 1e7),
        writes_per_second=st.floats(0, 1e4),
        repeats=st.integers(0, 10**7),
    ),
    st.floats(1, 1e6),
    st.floats(0, 1e6),
)
def test_whatever_was_observed_there_is_an_answer_within_the_limits(query, window, all_seconds):
    query = replace(query, repeats=min(query.repeats, query.calls))
    (found,) = advise([query], window, all_seconds)
    assert 0 <= found.hit_ratio <= 1
    if found.verdict is Verdict.CACHE:
        assert found.hit_ratio >= 0.7
        assert found.gain_ms_per_second >= 10 * all_seconds / window * (1 - 1e-9)
        assert found.ttl_seconds <= 300
    if found.verdict is Verdict.LEAVE:
        assert found.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"least_hit_ratio": 1.0},
        {"least_gain_ratio": -0.1},
        {"longest_ttl_seconds": 0},
        {"ttls_seconds": (5, -1)},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="ratio|time to live"):
        Limits(**wrong)
    with pytest.raises(ValueError, match="window"):
        advise([], 0, 1)
