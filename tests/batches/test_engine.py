"""The engine alone: chunk sizes, halving, waiting, flushing, latencies, rates."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.batches.engine import chunk_size, flush, latency, rate
from optimizer.batches.engine.bisection import isolate
from optimizer.batches.engine.flush import Waiting
from optimizer.batches.engine.settings import Job
from optimizer.control.backoff import full_jitter

pytestmark = pytest.mark.any_database

BOUNDS = {"least": 50, "most": 5000}


def run_aimd(seconds, target, chunks=40, size=500):
    """Let chunks take what `seconds` says of their size; return all sizes."""
    sizes = [size]
    for _ in range(chunks):
        took = seconds(sizes[-1])
        sizes.append(
            chunk_size.next_size(
                sizes[-1], items=sizes[-1], took_seconds=took, target_seconds=target, **BOUNDS
            )
        )
    return sizes


def test_chunks_grow_while_they_are_quick_and_no_further_than_they_may():
    sizes = run_aimd(lambda n: n * 1e-6, 1.0)
    assert sizes == sorted(sizes)
    assert sizes[-1] == 5000


def test_chunks_settle_around_the_target():
    sizes = run_aimd(lambda n: 0.01 + n * 1e-4, 0.2)
    assert all(0.6 * 1900 <= size <= 1.1 * 1900 for size in sizes[20:])


def test_slow_chunks_shrink_to_the_least():
    assert run_aimd(lambda n: 10.0, 0.1)[-1] == 50


def test_a_chunk_that_was_not_full_says_nothing_of_larger_ones():
    given: dict[str, Any] = {"target_seconds": 1.0, **BOUNDS}
    assert chunk_size.next_size(1000, items=10, took_seconds=0.01, **given) == 1000
    assert chunk_size.next_size(1000, items=100, took_seconds=2.0, **given) == 70
    assert chunk_size.after_trouble(1000, **BOUNDS) == 500


@given(st.integers(1, 400), st.sets(st.integers(0, 399), max_size=60))
def test_halving_applies_all_but_the_poison_items_once_and_in_order(count, poison):
    poison = {at for at in poison if at < count}
    applied = []

    def apply(places):
        if poison & set(places):
            raise ValueError(min(poison & set(places)))
        applied.extend(places)

    found = isolate(count, apply, errors=(ValueError,))
    assert applied == [at for at in range(count) if at not in poison]
    assert set(found.poison) == poison
    k = len(poison)
    bound = 2 * k * math.log2(max(2, count / max(1, k))) + 2 * k + 1
    assert found.calls <= min(bound, 2 * count + 1) + 2 * k
    assert found.calls <= 2 * count


def test_other_errors_end_it():
    def apply(places):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        isolate(4, apply, errors=(ValueError,))


def test_it_can_be_given_up():
    def apply(places):
        raise ValueError

    found = isolate(64, apply, errors=(ValueError,), given_up=lambda one: len(one.poison) >= 3)
    assert sorted(found.poison) == [0, 1, 2]


def test_waits_double_up_to_the_longest_with_full_jitter():
    def longest(attempts):
        return full_jitter(attempts, base_seconds=1.0, most_seconds=60.0, chance=lambda: 1.0)

    assert [longest(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert longest(1000) == 60.0
    some = [full_jitter(5, base_seconds=1.0, most_seconds=60.0) for _ in range(1000)]
    assert 0 <= min(some) < 1 and 15 < max(some) <= 16


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        (Waiting(500, 10, 0.0, 0.0), "size"),
        (Waiting(9, 5000, 0.0, 0.0), "bytes"),
        (Waiting(9, 10, 1.0, 0.0), "age"),
        (Waiting(9, 10, 0.5, 0.2), "idle"),
        (Waiting(9, 10, 0.5, 0.1), ""),
    ],
)
def test_a_chunk_is_due_by_size_bytes_age_and_idle(waiting, reason):
    job = Job(1, "a", flush_bytes=5000, flush_seconds=1.0, idle_seconds=0.2)
    due = flush.due(job, waiting, 500)
    assert due.reason == reason
    if not reason:
        assert due.in_seconds == pytest.approx(0.1)


def test_percentiles_are_at_most_a_fifth_too_large():
    times = sorted(random.Random(1).lognormvariate(-3, 1) for _ in range(2000))  # noqa: S311
    counts: dict[str, int] = {}
    for one in times:
        counts[latency.bucket(one)] = counts.get(latency.bucket(one), 0) + 1
    for fraction in (0.5, 0.95, 0.99):
        true = times[math.ceil(fraction * len(times)) - 1]
        assert true <= latency.percentile(counts, fraction) <= true * 1.19
    assert latency.percentile({}, 0.5) == 0.0


def test_the_rate_follows_and_fades():
    pace = 0.0
    for _ in range(60):
        pace = rate.updated(pace, items=100, elapsed_seconds=1.0)
    assert pace == pytest.approx(100, rel=0.03)
    assert rate.faded(pace, 60) < 2
