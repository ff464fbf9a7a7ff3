import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.measures.histogram import (
    BUCKETS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Histogram,
    bounds_of,
    bucket_of,
)

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]

DURATIONS = st.one_of(
    st.floats(0, 200), st.floats(1e-6, 0.01), st.sampled_from([0.0, 1e-9, 0.5, 1.0, 128.0, 1e9])
)


def histogram_of(durations):
    histogram = Histogram()
    for one in durations:
        histogram.add(one)
    return histogram


@given(DURATIONS)
def test_a_duration_lies_in_its_bucket(seconds):
    start, end = bounds_of(bucket_of(seconds))
    assert start <= seconds < end


def test_buckets_follow_each_other_and_are_narrow():
    bounds = [bounds_of(bucket) for bucket in range(BUCKETS)]
    assert bounds[0] == (0.0, SHORTEST_SECONDS)
    assert bounds[-1] == (LONGEST_SECONDS, math.inf)
    for (_, end), (start, _) in zip(bounds, bounds[1:], strict=False):
        assert end == start
    assert all(end / start <= 1.25 for start, end in bounds[1:-1])


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_counted_all_the_same(seconds):
    assert histogram_of([seconds]).calls == 1


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.integers(0, 100))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(durations, percent):
    true = sorted(durations)[max(1, -(-percent * len(durations) // 100)) - 1]
    found = histogram_of(durations).percentile(percent / 100)
    assert bucket_of(found) == bucket_of(true)


def test_a_percentile_is_where_its_rank_puts_it():
    histogram = histogram_of([1.01] * 8)
    assert histogram.percentile(0.5) == pytest.approx(1 + 0.25 * 3.5 / 8)
    assert Histogram().percentile(0.5) == 0.0
    with pytest.raises(ValueError, match="fraction"):
        histogram.percentile(95)


@given(st.lists(DURATIONS, max_size=30), st.lists(DURATIONS, max_size=30), st.integers(1, 5))
def test_merged_and_weighted_is_as_if_one_had_counted_all(ours, theirs, times):
    merged, other = histogram_of(ours), Histogram()
    other.add_all(theirs, times)
    merged.merge(other)
    assert merged.counts() == histogram_of(ours + theirs * times).counts()
    assert merged.calls == len(ours) + times * len(theirs)


@given(st.lists(DURATIONS, max_size=30))
def test_bytes_give_the_histogram_back(durations):
    histogram = histogram_of(durations)
    again = Histogram.from_bytes(histogram.to_bytes())
    assert again.counts() == histogram.counts()
    assert again.to_bytes() == histogram.to_bytes()
    again.add(0.01)
    assert again.calls == len(durations) + 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",  # []
        b"\x92\xff\x01",  # [-1, 1]
        b"\x92\x01\xff",  # [1, -1]
        b"\x93\x6d\x01\x01",  # [109, 1, 1]
        b"\x92\x01\xcf\x00\x00\x00\x01\x00\x00\x00\x00",  # [1, 2**32]
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="histogram|count"):
        Histogram.from_bytes(data)


def test_a_full_count_stays_full():
    histogram = Histogram()
    histogram.add(0.1, 2**32 - 2)
    histogram.add(0.1, 5)
    assert histogram.calls == 2**32 - 1
