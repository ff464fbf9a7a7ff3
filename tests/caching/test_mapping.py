"""A key that passes to another namespace: what its former one held must never come back."""

import pytest
from django.core.cache import cache
from hypothesis import given
from hypothesis import strategies as st

from caching.engine.mapping import affected
from caching.models import CachingSettings, Namespace
from optimizer.control import live
from tests.caching.support import eventually, hearing

pytestmark = pytest.mark.any_database

PREFIXES = st.lists(st.text("xy", min_size=1, max_size=3), unique=True, max_size=4).map(
    lambda found: {"default": "", **dict(zip("abcd", found, strict=False))}
)
KEYS = [first + second + third for first in "xy" for second in "xy" for third in "xyz"]


def owner(key, mapping):
    return max((len(p), name) for name, p in mapping.items() if key.startswith(p))[1]


@given(PREFIXES, PREFIXES)
def test_whoever_gave_or_got_a_key_begins_anew(old, new):
    moved = [(owner(key, old), owner(key, new)) for key in KEYS]
    touched = affected(old, new)
    assert {name for pair in moved if pair[0] != pair[1] for name in pair} <= touched
    if old == new:
        assert touched == set()


def obey():
    live.catch_up()
    cache.get("anything")
    return hearing()


@pytest.mark.usefixtures("engine")
def test_a_value_of_before_a_namespace_was_made_does_not_come_back_with_its_end():
    cache.set("user:1", "old", None)
    cache.set("other", "stays", None)
    row = Namespace.objects.create(name="users", prefix="user:")
    obey()
    assert cache.get("user:1") is None
    cache.set("user:1", "new", None)
    row.delete()
    obey()
    assert cache.get("user:1") is None


@pytest.mark.usefixtures("engine")
def test_a_prefix_that_goes_and_returns_brings_nothing_back():
    row = Namespace.objects.create(name="users", prefix="user:")
    Namespace.objects.create(name="pages", prefix="page:")
    obey()
    cache.set_many({"user:1": "old", "page:1": "stays"}, None)
    row.prefix = "person:"
    row.save()
    obey()
    row.prefix = "user:"
    row.save()
    obey()
    assert cache.get_many(["user:1", "page:1"]) == {"page:1": "stays"}


@pytest.mark.usefixtures("engine")
def test_a_bulk_change_by_a_process_that_has_no_cache_is_noticed_by_the_next_one():
    Namespace.objects.create(name="users", prefix="user:")
    engine = obey()
    cache.set("user:1", "old", None)
    engine.stop()
    Namespace.objects.update(prefix="person:")
    obey().stop()
    Namespace.objects.update(prefix="user:")
    obey()
    assert cache.get("user:1") is None


def test_shares_that_no_form_has_checked_stay_within_the_budget(engine):
    shared = [Namespace(name=f"s{n}", prefix=f"s{n}:", l1_share_percent=90) for n in range(3)]
    Namespace.objects.bulk_create(shared)
    CachingSettings(l1_budget_bytes=1024**2).save()
    store = engine.cache.store
    eventually(lambda: store.budget_bytes == 1024**2 and "s2" in store.partitions)
    budgets = [one.budget_bytes for one in store.partitions.values()]
    assert sum(budgets) <= 1024**2
    assert min(budgets) >= 1024**2 // 10 - 1
