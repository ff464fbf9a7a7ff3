import hashlib
import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.engine.curve import EDGES_BYTES, Curve, Histogram, merge

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]

KB = 1024
MB = 1024 * KB


class Key(str):
    """A string whose hash is the same in every process, and as evenly spread."""

    __slots__ = ()

    def __hash__(self) -> int:
        digest = hashlib.blake2b(self.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def true_hit_ratio(trace: Sequence[str], sizes: Mapping[str, int], budget_bytes: float) -> float:
    """Simulate an LRU exactly."""
    held: OrderedDict[str, int] = OrderedDict()
    used = hits = 0
    for key in trace:
        if key in held:
            held.move_to_end(key)
            hits += 1
        else:
            held[key] = sizes[key]
            used += sizes[key]
        while used > budget_bytes:
            used -= held.popitem(last=False)[1]
    return hits / len(trace)


def noted(trace: Sequence[str], sizes: Mapping[str, int], max_keys: int = 10_000) -> Curve:
    curve = Curve(max_keys)
    for key in trace:
        if hash(key) < curve.threshold:
            curve.note(key, sizes[key])
    curve.count_requests(len(trace))
    return curve


def zipf(keys: Sequence[str], exponent: float, requests: int, seed: int) -> Sequence[str]:
    weights = [(1 + rank) ** -exponent for rank in range(len(keys))]
    return random.Random(seed).choices(keys, weights=weights, k=requests)  # noqa: S311  # a trace


def lognormal(keys: Sequence[str]) -> dict[str, int]:
    rng = random.Random(3)  # noqa: S311  # sizes
    return {key: int(rng.lognormvariate(8, 1)) + 1 for key in keys}


KEYS = [Key(f"key:{number}") for number in range(12_000)]
SIZES = lognormal(KEYS)


@pytest.mark.parametrize("exponent", [0.9, 1.1])
def test_the_curve_of_a_sample_is_that_of_an_exact_simulation(exponent):
    trace = zipf(KEYS, exponent, 60_000, seed=1)
    curve = noted(trace, SIZES, max_keys=3000)
    assert curve.threshold < 0  # less than half of the keys
    total = sum(SIZES.values())
    for share in (0.02, 0.05, 0.1, 0.2, 0.5):
        true = true_hit_ratio(trace, SIZES, total * share)
        assert curve.snapshot().hit_ratio(total * share) == pytest.approx(true, abs=0.03)


FEW = [Key(f"key:{number}") for number in range(40)]


@given(
    picks=st.lists(st.integers(0, 39), min_size=1, max_size=300),
    size_kb=st.integers(300, 4096),
    held=st.integers(1, 8),
)
def test_few_large_entries_are_followed_without_an_error(picks, size_kb, held):
    trace, sizes = [FEW[one] for one in picks], dict.fromkeys(FEW, size_kb * KB)
    budget = (held + 0.5) * size_kb * KB  # between the edges next to it there is no other
    true = true_hit_ratio(trace, sizes, budget)
    assert noted(trace, sizes).snapshot().hit_ratio(budget) == pytest.approx(true)


def test_positions_are_renumbered_without_a_loss():
    trace = [FEW[(step * 7) % 40] for step in range(5000)]
    curve = noted(trace, dict.fromkeys(FEW, MB), max_keys=40)
    assert curve.snapshot().points([39.4 * MB, 42 * MB]) == pytest.approx([0, 1 - 40 / 5000])


@given(steps=st.lists(st.tuples(st.integers(0, 39), st.integers(1, MB)), max_size=200))
def test_a_curve_never_falls_and_stays_a_ratio(steps):
    curve = Curve(10)
    for number, size in steps:
        if curve.sampled(FEW[number]):
            curve.note(FEW[number], size)
    curve.count_requests(len(steps))
    points = curve.snapshot().points([0, 1, 100 * KB, *EDGES_BYTES, 10 * EDGES_BYTES[-1]])
    assert all(0 <= one <= other <= 1 for one, other in pairwise(points))


def test_no_more_keys_are_held_than_allowed_and_the_filter_narrows():
    curve = Curve(100)
    passed = 0
    for key in KEYS:
        if hash(key) < curve.threshold:
            passed += 1
            curve.note(key, 1)
        assert len(curve._sample.places) <= 100
    assert passed < 1000
    assert sum(curve.sampled(key) for key in KEYS) == len(curve._sample.places) >= 50


def test_hashes_of_strings_are_spread_evenly_over_all_bits():
    eighths = [0] * 8
    for number in range(80_000):
        eighths[(hash(f"tenant:{number % 7}:object:{number}") + (1 << 63)) >> 61] += 1
    assert all(9400 < one < 10_600 for one in eighths)  # more than 6 standard deviations


def test_a_size_is_told_when_the_miss_is_stored():
    curve = Curve()
    for key, size in (("a", MB), ("b", 4 * MB)):
        curve.note(key)
        curve.stored(key, size)
    curve.note("a", MB)
    assert curve.snapshot().points([4.5 * MB, 5.5 * MB]) == pytest.approx([0, 1 / 3])


def test_what_is_used_again_at_once_needs_room_for_itself():
    curve = Curve()
    for _ in range(4):
        curve.note("a", MB)
    assert curve.snapshot().points([0.9 * MB, 1.1 * MB]) == pytest.approx([0, 3 / 4])


def test_a_key_that_is_never_stored_never_hits():
    curve = Curve()
    for _ in range(4):
        curve.note("a")
    assert curve.snapshot().hit_ratio(EDGES_BYTES[-1]) == 0
    assert curve.snapshot().requests == 4


def test_a_copy_that_has_expired_hits_with_no_budget():
    curve = Curve()
    for now in (0.0, 50.0, 100.0, 150.0, 160.0):
        curve.note("a", MB if now % 100 else None, now)
        if not now % 100:
            curve.stored("a", MB, now + 60)
    assert curve.snapshot().hit_ratio(2 * MB) == pytest.approx(2 / 5)


def test_a_deleted_key_hits_with_no_budget_and_takes_no_room():
    curve = Curve()
    for key in ("a", "b"):
        curve.note(key, MB)
    curve.forget("b")
    curve.note("a", MB)
    curve.note("b", MB)
    assert curve.snapshot().points([0.9 * MB, 1.1 * MB]) == pytest.approx([0, 1 / 4])


def test_requests_that_nobody_noted_count_as_hits_of_the_lowest_budget():
    curve = Curve()
    curve.note("a", MB)
    curve.count_requests(10)
    assert curve.snapshot().requests == 10
    assert curve.snapshot().hit_ratio(MB) == pytest.approx(0.9)


def test_what_was_just_used_is_counted_without_the_lock():
    curve = Curve()
    curve.note("a", KB)
    with curve._lock:
        curve.note("a", KB)
        curve.note("b", KB)  # another thread has the lock, so this one goes uncounted
    assert curve.snapshot().requests == 2


def test_age_halves_what_was_counted():
    curve = Curve()
    for _ in range(8):
        curve.note("a", MB)
    curve.age()
    assert curve.snapshot().requests == 4
    assert curve.snapshot().hit_ratio(2 * MB) == pytest.approx(7 / 8)


def test_when_most_of_a_sample_is_out_of_use_a_wider_one_follows_and_loses_no_hit():
    curve = Curve(200)

    def missed_by_all_in_use() -> float:
        before = curve._missed
        for key in KEYS[:100]:
            if curve.sampled(key):
                curve.note(key, MB)
        return curve._missed - before

    for key in KEYS:
        if curve.sampled(key):
            curve.note(key, MB)
    narrow = curve.threshold
    for _ in range(2):
        curve.age()
        missed_by_all_in_use()
    assert narrow < curve.threshold == Curve().threshold  # it learns the order of use
    for _ in range(40):
        curve.age()
        assert missed_by_all_in_use() == 0
    assert curve.snapshot().points([98 * MB, 105 * MB]) == pytest.approx([0, 1], abs=0.001)


def test_a_sample_that_is_in_use_stays():
    curve = Curve(200)
    for _ in range(4):
        for key in KEYS:
            if curve.sampled(key):
                curve.note(key, MB)
        curve.age()
    assert curve._next is None


def test_after_a_reset_all_begins_anew():
    curve = noted(zipf(KEYS, 0.9, 5000, seed=2), SIZES, max_keys=100)
    curve.reset()
    assert curve.snapshot() == Histogram()
    assert curve.threshold == Curve().threshold
    assert Histogram().hit_ratio(MB) == 0


def test_curves_of_processes_merge_by_their_requests():
    one, other = Curve(), Curve()
    for _ in range(4):
        one.note("a", MB)
    for _ in range(2):
        for key in "abc":
            other.note(key, MB)
    parts = [one.snapshot(), other.snapshot()]
    merged = merge(parts)
    assert merged.requests == 10
    assert merged.hit_ratio(1.5 * MB) == pytest.approx(3 / 10)
    assert merged.hit_ratio(3.5 * MB) == pytest.approx(6 / 10)
    assert parts == [one.snapshot(), other.snapshot()]


def test_a_histogram_travels_as_plain_data():
    histogram = noted(zipf(KEYS, 0.9, 3000, seed=2), SIZES).snapshot()
    assert msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram) == histogram


def test_a_sample_of_no_keys_is_refused():
    with pytest.raises(ValueError, match="max_keys"):
        Curve(0)
