import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caching.engine.entry import Entry
from caching.engine.policies import POLICIES, S3FIFO
from caching.engine.store import COMMON, ENTRY_BYTES, Store, weigh

pytestmark = pytest.mark.any_database

SPACES = {name: SimpleNamespace(name=name, hit=int) for name in ("default", "pages", "users")}
KEYS = [f"key:{number}" for number in range(12)]
ticks = count(1)


def entry(key: str, length: int = 100, namespace: str = "default", stamp: int = 0) -> Entry:
    now = float(next(ticks))
    return Entry(key, b"x" * length, SPACES[namespace], now, now + 1e9, stamp=stamp)


WEIGHT = weigh(KEYS[0], entry(KEYS[0]).value)


def hit(store: Store, key: str) -> bool:
    """Mark an entry as a reader does."""
    found = store.entries.get(key)
    if found is None:
        return False
    found.used = float(next(ticks))
    found.hits += 1
    return True


def check_counts(store: Store) -> None:
    """Compare all that is counted with a recount."""
    spaces: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    parts: dict[str, list[int]] = {name: [0, 0] for name in store.partitions}
    for key, one in store.entries.items():
        assert one.key == key
        part = one.namespace.name if one.namespace.name in parts else COMMON
        for counts in (spaces[one.namespace.name], parts[part]):
            counts[0] += weigh(key, one.value)
            counts[1] += 1
    told = {name: list(one[:2]) for name, one in store.by_namespace().items() if one[1]}
    assert told == dict(spaces)
    for name, partition in store.partitions.items():
        assert [partition.used_bytes, partition.count] == parts[name]
        assert partition.used_bytes <= max(0, partition.budget_bytes)
        if isinstance(partition.policy, S3FIFO):
            small = partition.policy._small
            assert partition.policy._small_bytes == sum(size for _, _, size in small)
    assert store.used_bytes == sum(size for size, _ in spaces.values())


def is_of(namespace: str) -> Callable[[Entry], bool]:
    return lambda one: one.namespace.name == namespace


class ReferenceLRU:
    """What an LRU by bytes is: the order of use, and nothing else."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.weights: OrderedDict[str, int] = OrderedDict()

    def put(self, key: str, weight: int) -> None:
        self.weights.pop(key, None)
        if weight <= self.budget_bytes:
            self.weights[key] = weight
        self.make_room()

    def make_room(self) -> None:
        while sum(self.weights.values()) > self.budget_bytes:
            self.weights.popitem(last=False)


KEY = st.sampled_from(KEYS[:6])
SIZE = st.integers(0, 3 * WEIGHT)
BUDGET = st.one_of(st.integers(0, 12 * WEIGHT), st.integers(3 * WEIGHT, 8 * WEIGHT))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEY),
        st.tuples(st.just("get"), KEY),
        st.tuples(st.just("put"), KEY, SIZE),
        st.tuples(st.just("put"), KEY, SIZE),
        st.tuples(st.just("drop"), st.lists(KEY, max_size=3)),
        st.tuples(st.just("budget"), BUDGET),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(budget=BUDGET, steps=STEPS)
def test_lru_holds_exactly_what_a_plain_one_holds(budget, steps):
    store, reference = Store(budget), ReferenceLRU(budget)
    for step, *arguments in steps:
        if step == "get":
            [key] = arguments
            assert hit(store, key) == (key in reference.weights)
            if key in reference.weights:
                reference.weights.move_to_end(key)
        elif step == "put":
            one = entry(*arguments)
            reference.put(one.key, weigh(one.key, one.value))
            assert store.put(one) == (one.key in reference.weights)
        elif step == "drop":
            [keys] = arguments
            assert store.drop(keys) == len(reference.weights.keys() & set(keys))
            for key in keys:
                reference.weights.pop(key, None)
        else:
            [reference.budget_bytes] = arguments
            reference.make_room()
            store.configure(reference.budget_bytes, "lru", {})
        assert store.entries.keys() == reference.weights.keys()
        check_counts(store)


def test_lru_lets_leave_what_was_used_longest_ago():
    store = Store(4 * WEIGHT)
    for key in KEYS[:4]:
        store.put(entry(key))
    for key in (KEYS[0], KEYS[2], KEYS[0]):
        hit(store, key)
    for key, gone in zip(KEYS[4:8], (KEYS[1], KEYS[3], KEYS[2], KEYS[0]), strict=True):
        assert gone in store.entries
        store.put(entry(key))
        assert gone not in store.entries


SHARES = st.dictionaries(st.sampled_from(["pages", "users"]), st.floats(0.05, 0.5), max_size=2)
ANY_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEY),
        st.tuples(st.just("put"), KEY, SIZE, st.sampled_from(sorted(SPACES))),
        st.tuples(st.just("put"), KEY, SIZE, st.sampled_from(sorted(SPACES))),
        st.tuples(st.just("drop"), st.lists(KEY, max_size=3)),
        st.tuples(st.just("drop_where"), st.sampled_from(sorted(SPACES))),
        st.tuples(st.just("configure"), BUDGET, st.sampled_from(sorted(POLICIES)), SHARES),
        st.tuples(st.just("clear")),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(policy=st.sampled_from(sorted(POLICIES)), budget=BUDGET, steps=ANY_STEPS)
def test_counts_always_equal_a_recount_and_no_partition_exceeds_its_budget(policy, budget, steps):
    store = Store(budget, policy)
    for step, *arguments in steps:
        if step == "get":
            hit(store, *arguments)
        elif step == "put":
            store.put(entry(*arguments))
        elif step == "drop_where":
            [name] = arguments
            store.drop_where(is_of(name))
            assert store.by_namespace().get(name, (0, 0))[:2] == (0, 0)
        elif step == "configure":
            store.configure(*arguments)
            assert store.partitions.keys() == {COMMON, *arguments[2]}
            assert sum(one.budget_bytes for one in store.partitions.values()) == arguments[0]
        else:
            getattr(store, step)(*arguments)
        check_counts(store)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_places_of_what_is_gone_are_swept(policy):
    store = Store(1 << 30, policy)
    for _ in range(1000):
        for key in KEYS:
            store.put(entry(key))
    queues = vars(store.partitions[COMMON].policy)
    assert sum(len(queues.get(name, ())) for name in ("_heap", "_small", "_main")) < 2500
    store.configure(int(3.5 * WEIGHT), policy, {})
    check_counts(store)
    assert len(store.entries) == 3


@pytest.mark.parametrize("policy", ["s3-fifo", "gdsf"])
def test_a_scan_does_not_displace_what_is_in_use(policy):
    store = Store(50 * WEIGHT, policy)
    in_use = [f"key:{number:02}" for number in range(20)]
    for _ in range(4):
        for key in in_use:
            hit(store, key) or store.put(entry(key))
    for number in range(500):
        store.put(entry(f"once:{number}"))
        hit(store, in_use[number % 20])
    assert store.entries.keys() >= set(in_use)


@pytest.mark.parametrize("policy", ["s3-fifo", "gdsf"])
def test_what_is_in_use_no_more_leaves_in_the_end(policy):
    store = Store(20 * WEIGHT, policy)
    for key in KEYS:
        store.put(entry(key))
        hit(store, key)
    for number in range(100):
        store.put(entry(f"once:{number}"))
        for key in KEYS:
            hit(store, key)
    for key in KEYS:
        store.entries[key].hits = 1_000_000
    for number in range(4000):
        key = f"new:{number // 2 % 40}"
        hit(store, key) or store.put(entry(key))
    assert not store.entries.keys() & set(KEYS)


@pytest.mark.parametrize(("policy", "others"), [("s3-fifo", 200), ("gdsf", 14)])
def test_what_was_evicted_too_early_stays_for_longer_the_second_time(policy, others):
    store = Store(10 * WEIGHT, policy)
    store.put(entry("again"))
    for number in range(10):
        store.put(entry(f"a:{number:03}"))
    assert "again" not in store.entries
    store.put(entry("again"))
    for number in range(others):
        store.put(entry(f"b:{number:03}"))
    assert "again" in store.entries


def test_gdsf_lets_large_entries_leave_first():
    store = Store(12 * WEIGHT, "gdsf")
    for key in KEYS[:4]:
        store.put(entry(key))
    store.put(entry("large", 4 * WEIGHT))
    for key in KEYS[4:8]:
        store.put(entry(key))
    assert store.entries.keys() == set(KEYS[:8])


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_namespaces_with_a_share_displace_only_their_own(policy):
    store = Store(10 * WEIGHT, policy)
    store.configure(10 * WEIGHT, policy, {"pages": 0.35})
    for number in range(5):
        store.put(entry(f"key:{number}"))
    for number in range(50):
        store.put(entry(f"p:{number:03}", namespace="pages"))
    assert store.by_namespace()["default"] == (5 * WEIGHT, 5, 0)
    assert store.partitions["pages"].count == 3
    assert store.largest_bytes("pages", 0.5) == int(store.partitions["pages"].budget_bytes * 0.5)


def test_a_share_that_is_taken_away_is_had_in_common_again():
    store = Store(10 * WEIGHT)
    store.configure(10 * WEIGHT, "lru", {"pages": 0.8})
    store.configure(10 * WEIGHT, "lru", {})
    for number in range(30):
        store.put(entry(f"a:{number:03}", namespace="pages"))
        store.put(entry(f"b:{number:03}"))
    assert store.used_bytes <= 10 * WEIGHT
    assert store.largest_bytes("pages", 1) == 10 * WEIGHT


def test_a_key_that_moves_to_another_namespace_is_counted_there():
    store = Store(10 * WEIGHT)
    store.configure(10 * WEIGHT, "lru", {"pages": 0.5})
    store.put(entry("key:1", namespace="pages"))
    store.put(entry("key:1"))
    check_counts(store)
    assert store.by_namespace()["pages"][:2] == (0, 0)


def test_an_entry_larger_than_its_partition_displaces_nothing_but_its_old_value():
    store = Store(4 * WEIGHT)
    store.put(entry("key:1"))
    store.put(entry("key:2"))
    assert not store.put(entry("key:1", 5 * WEIGHT))
    assert store.entries.keys() == {"key:2"}
    check_counts(store)


def test_evictions_are_counted_on_when_the_store_is_cleared():
    store = Store(2 * WEIGHT)
    for key in KEYS[:5]:
        store.put(entry(key))
    store.clear()
    assert store.by_namespace()["default"] == (0, 0, 3)


def test_a_value_whose_size_grows_while_it_is_held_is_counted_off_as_it_was_counted_on():
    store = Store(1 << 20)
    text = "é" * 1000
    before = weigh("key:1", text)
    store.put(Entry("key:1", text, SPACES["default"], 0.0, 1e9))
    msgspec.msgpack.encode(text)  # makes its UTF-8 form, which stays with it
    assert weigh("key:1", text) > before == store.used_bytes
    store.drop(["key:1"])
    assert store.used_bytes == 0


def test_a_reader_finds_the_old_value_or_the_new_one_and_never_neither(monkeypatch):
    store = Store(1 << 20)
    store.put(entry("key:1"))
    seen = []
    policy = store.partitions[COMMON].policy
    monkeypatch.setattr(policy, "gone", lambda: seen.append(store.entries.get("key:1")))
    new = entry("key:1")
    store.put(new)
    assert seen == [new]


def test_a_replaced_entry_keeps_its_hits():
    store = Store(1 << 20)
    store.put(entry("key:1"))
    hit(store, "key:1")
    store.put(entry("key:1"))
    assert store.entries["key:1"].hits == 1


def test_what_is_newer_than_the_news_stays():
    store = Store(1 << 20)
    store.put(entry("key:1", stamp=5))
    store.put(entry("key:2", stamp=7))
    assert store.drop(KEYS, before=7) == 1
    assert store.drop_where(lambda one: True, before=7) == 0
    assert store.entries.keys() == {"key:2"}


def test_what_may_says_no_to_is_not_held():
    store = Store(1 << 20)
    old = entry("key:1")
    store.put(old)
    assert not store.put(entry("key:1"), lambda: False)
    assert store.entries["key:1"] is old


class AskedLock:
    """A lock that tells when somebody waits for it."""

    def __init__(self) -> None:
        self._lock, self.waited_for = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.waited_for.set()
            self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def test_a_put_between_its_check_and_its_place_is_not_missed_by_drop_where(monkeypatch):
    store, lock = Store(1 << 20), AskedLock()
    monkeypatch.setattr(store, "_lock", lock)
    dropping = threading.Thread(target=store.drop_where, args=(lambda one: True,))

    def may() -> bool:
        dropping.start()
        return lock.waited_for.wait(30)  # by then it has taken what it can without the lock

    assert store.put(entry("key:1"), may)
    dropping.join()
    assert not store.entries


def test_a_condition_is_asked_while_others_may_put():
    store = Store(1 << 20)
    store.put(entry("key:1"))
    assert store.drop_where(lambda one: store.put(entry("key:2")) and one.key == "key:1") == 1
    assert store.entries.keys() == {"key:2"}


def test_a_child_process_gets_an_empty_store_whoever_held_the_lock():
    store = Store(1 << 20)
    store.put(entry("key:1"))
    store._lock.acquire()
    store.forget()
    assert store.put(entry("key:2"))
    assert store.by_namespace() == {"default": (WEIGHT, 1, 0)}


def test_a_policy_that_does_not_exist_changes_nothing():
    store = Store(1 << 20)
    store.put(entry("key:1"))
    with pytest.raises(KeyError):
        store.configure(5, "none", {})
    assert store.budget_bytes == 1 << 20
    assert store.entries


def test_an_entry_weighs_about_what_it_takes():
    import tracemalloc

    store, keys = Store(1 << 30), [f"object:{number:06}" for number in range(20_000)]
    tracemalloc.start()
    try:
        for key in keys:
            store.put(Entry(key, b"%0900d" % len(key), SPACES["default"], next(ticks) + 0.5, 1e9))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    own = sum(weigh(key, b"") - ENTRY_BYTES - 33 - 8 for key in keys)
    assert 0.8 < (store.used_bytes - own) / taken < 1.2
