import gc
import math
import random
import statistics
import sys
import threading
import tracemalloc
import zlib
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.measures.histogram import Histogram
from optimizer.queries.engine import intervals
from optimizer.queries.engine.hyperloglog import hash_of
from optimizer.queries.engine.intervals import Unreadable, pack, unpack
from optimizer.queries.engine.statistics import (
    MOST_TABLES,
    OTHER,
    OTHER_TABLE,
    Key,
    Query,
    Statistics,
)

pytestmark = pytest.mark.any_database

QUERIES = st.tuples(
    st.sampled_from(["select", "update"]),
    st.sampled_from(["views.py:1", "views.py:2"]),
    st.floats(0, 10),
    st.integers(0, 50),
    st.integers(0, 3).map(lambda number: hash_of((number,))),
    st.sampled_from(["", "book"]),
)
UNITS = st.lists(
    st.tuples(st.sampled_from(["GET /a", "task"]), st.lists(QUERIES, max_size=8)), max_size=6
)


def query(fingerprint="select", *, seconds=0.001, parameters=0, table="", rows=1):
    return (fingerprint, "views.py:1", seconds, rows, hash_of((parameters,)), table)


def gathered_from(units):
    counted = Statistics(clock=iter([10.0, 20.0]).__next__)
    for unit, queries in units:
        counted.add(unit, queries)
    return counted.take()


def plain(gathered):
    """Return all there is to know, comparable; sums are rounded, for their order is free."""
    return (
        (gathered.since, gathered.until, gathered.units, gathered.writes),
        {
            key: (
                (one.calls, one.rows, one.repeats, one.n_plus_one, one.max_seconds),
                (round(one.seconds, 9), round(one.square_seconds, 9)),
                one.histogram.counts(),
                one.distinct.to_bytes(),
            )
            for key, one in gathered.tallies.items()
        },
    )


@given(UNITS)
def test_every_figure_is_that_of_the_queries(units):
    gathered = gathered_from(units)
    by_key: dict[Key, list[Query]] = {}
    repeats: Counter[Key] = Counter()
    writes: Counter[str] = Counter()
    for name, queries in units:
        seen = set()
        for one in queries:
            key = (one[0], one[1], name)
            by_key.setdefault(key, []).append(one)
            repeats[key] += (key, one[4]) in seen
            seen.add((key, one[4]))
            writes[one[5]] += 1
    assert gathered.tallies.keys() == by_key.keys()
    for key, queries in by_key.items():
        found, durations = gathered.tallies[key], [one[2] for one in queries]
        histogram = Histogram()
        histogram.add_all(durations)
        assert found.calls == len(queries)
        assert found.seconds == pytest.approx(sum(durations))
        assert found.max_seconds == max(durations)
        assert found.mean_seconds == pytest.approx(statistics.mean(durations))
        assert found.deviation_seconds == pytest.approx(statistics.pstdev(durations), abs=1e-6)
        assert found.rows == sum(one[3] for one in queries)
        assert found.repeats == repeats[key]
        assert found.distinct.count() == len({one[4] for one in queries})
        assert found.histogram.counts() == histogram.counts()
    del writes[""]
    assert gathered.writes == writes
    assert gathered.units == len(units)


@given(UNITS, UNITS)
def test_merged_is_as_if_one_had_counted_all(ours, theirs):
    merged, other = gathered_from(ours), gathered_from(theirs)
    before = plain(other)
    merged.merge(other)
    assert plain(merged) == plain(gathered_from(ours + theirs))
    assert plain(other) == before


def test_a_unit_that_stands_for_several_counts_as_often():
    counted = Statistics()
    queries = [query(parameters=1, table="book"), query(parameters=1), query(parameters=2)]
    counted.add("task", [*queries, query("single", rows=3)], {("select", "views.py:1"): 3}, 10)
    gathered = counted.take()
    loop, single = gathered.tallies.values()
    assert (loop.calls, loop.repeats, loop.n_plus_one) == (30, 10, 30)
    assert (loop.rows, loop.histogram.calls, loop.distinct.count()) == (30, 30, 2)
    assert (single.calls, single.rows, single.histogram.calls, single.n_plus_one) == (10, 30, 10, 0)
    assert (loop.seconds, loop.mean_seconds) == pytest.approx((0.03, 0.001))
    assert (gathered.units, gathered.writes) == (10, {"book": 10})


def test_taking_begins_anew_and_what_could_not_be_sent_comes_back():
    counted = Statistics(clock=iter([1.0, 2.0, 3.0, 4.0]).__next__)
    counted.add("task", [query()])
    first = counted.take()
    assert (first.since, first.until, len(counted)) == (1.0, 2.0, 0)
    counted.add("task", [query(), query("other")])
    counted.merge(first)
    again = counted.take()
    assert (again.since, again.until) == (1.0, 3.0)
    assert [one.calls for one in again.tallies.values()] == [2, 1]
    assert not counted.take().tallies


def test_beyond_the_bound_the_rest_is_counted_together():
    counted = Statistics(most=3)
    for number in range(10):
        counted.add("task", [query(str(number), table=f"table{number}")] * 2)
    counted.add("task", [query("0")])
    overflow = Statistics(most=10)
    overflow.add("task", [query(str(number)) for number in range(20, 25)])
    counted.merge(overflow.take())
    tallies = counted.take().tallies
    assert len(tallies) == 4
    assert tallies["0", "views.py:1", "task"].calls == 3
    assert tallies[OTHER].calls == 7 * 2 + 5
    with pytest.raises(ValueError, match="room"):
        Statistics(most=0)


def test_tables_are_bounded_too():
    counted = Statistics()
    counted.add("task", [query(table=f"table{number}") for number in range(MOST_TABLES + 50)])
    writes = counted.take().writes
    assert len(writes) == MOST_TABLES + 1
    assert writes[OTHER_TABLE] == 50


def test_threads_that_add_while_another_takes_lose_nothing():
    counted, done, found = Statistics(most=50), threading.Event(), Counter[str]()
    before = sys.getswitchinterval()

    def add(seed):
        rng = random.Random(seed)  # noqa: S311  # a load
        for _ in range(400):
            counted.add("task", [query(str(rng.randrange(80)), parameters=seed)] * 3)

    def take():  # what is taken is final: it is looked at once, at once
        gathered = counted.take()
        found["units"] += gathered.units
        found["calls"] += sum(tally.calls for tally in list(gathered.tallies.values()))
        found["taken"] += 1

    def take_on():
        while not done.is_set():
            take()

    adding = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
    taking = threading.Thread(target=take_on)
    sys.setswitchinterval(1e-6)
    try:
        for thread in [taking, *adding]:
            thread.start()
        for thread in adding:
            thread.join()
        done.set()
        taking.join()
    finally:
        sys.setswitchinterval(before)
    take()
    assert found["taken"] > 2
    assert (found["units"], found["calls"]) == (1600, 4800)


def test_five_thousand_fingerprints_fit_into_little_memory():
    gc.collect()
    tracemalloc.start()
    try:
        counted = Statistics()
        for number in range(5000):
            place = (f"{number:016x}", f"app/views.py:{number}")
            times = [0.001 * (1 + call) for call in range(10)]
            counted.add("GET /", [(*place, one, 1, hash_of((one,)), "") for one in times])
        gc.collect()
        used_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(counted) == 5000
    assert used_bytes < 6 * 1024**2  # the benchmark tells how much exactly


# --- Intervals ------------------------------------------------------------------------------------


@given(UNITS)
def test_an_interval_survives_its_journey(units):
    gathered = gathered_from(units)
    again = unpack(pack(gathered))
    assert plain(again) == plain(gathered)
    again.merge(gathered)
    assert again.units == 2 * gathered.units


def test_an_interval_with_full_sketches_survives_too():
    units = [("task", [query(parameters=number) for number in range(3000)])]
    gathered = gathered_from(units)
    data = pack(gathered)
    assert plain(unpack(data)) == plain(gathered)
    assert len(data) < 2048


def document(**changes):
    row = ["select", "views.py:1", "task", 1, 0.1, 0.01, 0.1, 1, 0, 0, b"\x92\x01\x01", b"1234"]
    for at, value in changes.pop("row", {}).items():
        row[at] = value
    rows = changes.pop("rows", [row])
    whole = {"version": 1, "since": 1.0, "until": 2.0, "units": 1, "writes": {}, "rows": rows}
    return zlib.compress(msgspec.msgpack.encode(list((whole | changes).values())))


def test_a_document_is_what_pack_writes():
    assert unpack(document()).tallies["select", "views.py:1", "task"].calls == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zlib",
        document()[:-1],
        zlib.compress(b"\xc1"),
        document(version=2),
        document(since=math.nan),
        document(writes={"book": "many"}),
        document(rows=[["select"]]),
        document(row={4: math.inf}),
        document(row={6: -1.0}),
        document(row={10: b"\x91\xff"}),
        document(row={11: b"123"}),
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(Unreadable):
        unpack(data)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(intervals, "MOST_BYTES", 1000)
    with pytest.raises(Unreadable):
        unpack(document(row={0: "x" * 100_000}))
