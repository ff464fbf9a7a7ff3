import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.engine.hot_keys import HotKeys, Summary, merge

pytestmark = pytest.mark.any_database

STREAM = st.lists(st.sampled_from("abcdefghijkl"), max_size=120)


def counted(stream: str | list[str], capacity: int = 4) -> HotKeys:
    sketch = HotKeys(capacity)
    for key in stream:
        sketch.add(key)
    return sketch


@given(stream=STREAM, capacity=st.integers(1, 15))
def test_a_count_is_never_too_low_nor_too_high_by_more_than_its_error(stream, capacity):
    true = Counter(stream)
    sketch = counted(stream, capacity)
    summary = sketch.summary()
    assert max(len(sketch._heap), len(sketch._errors)) <= capacity
    for one in summary.counted:
        assert one.count - one.error <= true[one.key] <= one.count
    assert len(summary.counted) == min(capacity, len(true))
    assert sum(one.count for one in summary.counted) == len(stream)
    for key in true.keys() - {one.key for one in summary.counted}:
        assert true[key] <= summary.floor <= len(stream) / capacity


@given(streams=st.lists(STREAM, min_size=1, max_size=4), capacity=st.integers(1, 15))
def test_what_several_counted_is_bounded_as_well(streams, capacity):
    true = Counter(key for stream in streams for key in stream)
    merged = merge(counted(stream, capacity).summary() for stream in streams)
    assert [one.count for one in merged] == sorted((one.count for one in merged), reverse=True)
    for one in merged:
        assert one.count - one.error <= true[one.key] <= one.count


def test_with_room_for_all_keys_counts_are_exact_when_merged():
    merged = merge([counted("aab").summary(), counted("bbbc").summary()])
    assert [(one.key, one.count, one.error) for one in merged] == [
        ("b", 4, 0),
        ("a", 2, 0),
        ("c", 1, 0),
    ]


def test_the_heaviest_of_many_keys_come_first():
    rng = random.Random(1)  # noqa: S311  # a stream
    keys = [f"key:{number}" for number in range(20_000)]
    stream = rng.choices(keys, weights=[1 / (1 + rank) for rank in range(len(keys))], k=60_000)
    top = [one.key for one in counted(stream, 500).top(10)]
    assert top == [key for key, _ in Counter(stream).most_common(10)]


def test_a_heavy_key_is_kept_whatever_else_comes():
    noise = [f"once:{number}" for number in range(300)]
    stream = [key for one in noise for key in (one, "hot")]
    assert counted(stream).top(1)[0].key == "hot"


def test_decay_lets_the_present_outweigh_the_past():
    sketch = counted(["old"] * 8)
    for _ in range(3):
        sketch.decay()
    for _ in range(2):
        sketch.add("new")
    assert [(one.key, one.count) for one in sketch.top(2)] == [("new", 2), ("old", 1)]


def test_after_decay_the_lowest_still_leaves_first():
    sketch = counted("aaaabbbccd")
    sketch.decay()
    sketch.add("e")
    assert {one.key: (one.count, one.error) for one in sketch.top(9)} == {
        "a": (2, 0),
        "b": (1.5, 0),
        "c": (1, 0),
        "e": (1.5, 0.5),
    }


def test_a_key_may_count_for_several_and_no_more_are_given_than_asked_for():
    sketch = HotKeys(3)
    sketch.add("a", 64)
    sketch.add("b")
    assert [(one.key, one.count) for one in sketch.top(1)] == [("a", 64)]


def test_a_summary_travels_as_plain_data():
    summary = counted("aaabbcdef").summary()
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary


def test_without_a_place_nothing_can_be_counted():
    with pytest.raises(ValueError, match="capacity"):
        HotKeys(0)


def test_a_short_summary_says_how_often_what_it_leaves_out_was_added():
    hot = HotKeys(10)
    for key, count in (("a", 5), ("b", 3), ("c", 1)):
        hot.add(key, count)
    told = hot.summary(1)
    assert [one.key for one in told.counted] == ["a"]
    assert told.floor == 3
