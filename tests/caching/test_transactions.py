"""What a transaction writes to the cache others see once it is committed, and never before."""

import threading
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.db import connection, transaction

from caching.decorators import tiered
from caching.models import Namespace
from caching.services import invalidation


class Undo(Exception):
    """Rolls a transaction back."""


def elsewhere(call):
    """Return what another thread, in no transaction, gets."""
    found = []

    def run():
        try:
            found.append(call())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def seen_elsewhere(key, default=None):
    return elsewhere(lambda: tiered().get(key, default))


# --- Writes and invalidations wait ----------------------------------------------------------------


def test_writes_are_seen_by_others_after_the_commit_alone(cache):
    cache.set_many({"set": "old", "deleted": "old", "many": "old", "touched": 1})
    with transaction.atomic():
        cache.set("set", "new")
        cache.delete("deleted")
        cache.set_many({"many": "new", "fresh": "new"})
        cache.delete_many(["fresh"])
        mine = cache.get_many(["set", "deleted", "many", "fresh"])
        assert mine == {"set": "new", "many": "new"}
        assert cache.get("deleted") is None
        assert "fresh" not in cache
        theirs = elsewhere(lambda: tiered().get_many(["set", "deleted", "many", "fresh"]))
        assert theirs == {"set": "old", "deleted": "old", "many": "old"}
    assert cache.get_many(["set", "deleted", "many", "fresh"]) == {"set": "new", "many": "new"}
    assert seen_elsewhere("set") == "new"


INVALIDATIONS = {
    "pattern": lambda cache: cache.delete_pattern("user:*"),
    "glob": lambda cache: cache.delete_pattern("*er:?"),
    "tag": lambda cache: invalidation.tag(tiered(), "users"),
    "namespace": lambda cache: invalidation.namespaces(tiered(), ["default"]),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("kind", INVALIDATIONS)
def test_invalidations_are_obeyed_after_the_commit_alone(cache, kind):
    tiered().set("user:1", "old", tags=["users"])
    with transaction.atomic():
        INVALIDATIONS[kind](cache)
        assert cache.get("user:1") is None
        assert seen_elsewhere("user:1") == "old"
        cache.set("user:1", "new")
        assert cache.get("user:1") == "new"
        assert seen_elsewhere("user:1") == "old"
    assert cache.get("user:1") == seen_elsewhere("user:1") == "new"


@pytest.mark.parametrize("kind", INVALIDATIONS)
def test_an_invalidation_that_is_rolled_back_never_was(cache, kind):
    tiered().set("user:1", "old", tags=["users"])
    with suppress(Undo), transaction.atomic():
        INVALIDATIONS[kind](cache)
        cache.set("user:1", "new")
        raise Undo
    assert cache.get("user:1") == seen_elsewhere("user:1") == "old"


def test_of_a_savepoint_only_what_is_kept_counts(cache):
    cache.set_many({"a": 0, "b": 0, "c": 0})
    with transaction.atomic():
        cache.set("a", 1)
        with suppress(Undo), transaction.atomic():
            cache.set("a", 2)
            cache.delete("b")
            assert cache.get("a") == 2
            raise Undo
        assert cache.get_many(["a", "b"]) == {"a": 1, "b": 0}
        with transaction.atomic():
            cache.set("c", 3)
        assert cache.get("c") == 3
        assert seen_elsewhere("c") == 0
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 0, "c": 3}


def test_what_waits_is_isolated_and_ends_with_its_time(cache):
    value = {"a": [1]}
    with transaction.atomic():
        cache.set("k", value)
        value["a"].append(2)
        cache.get("k")["a"].append(3)
        assert cache.get("k") == {"a": [1]}
        cache.set("gone", 1, timeout=0)
        assert "gone" not in cache
        cache.set("short", 1, timeout=0.001)
        threading.Event().wait(0.01)
        assert "short" not in cache
    assert seen_elsewhere("k") == cache.get("k") == {"a": [1]}


def test_values_that_cannot_be_stored_are_refused_before_the_commit(cache):
    Namespace.objects.create(name="json", prefix="j:", codec="json")
    cache.set_many({"k": "old", "j:k": "old"})
    with transaction.atomic():
        with pytest.raises(TypeError):
            cache.set("k", threading.Lock())
        with pytest.raises(TypeError):
            cache.set("j:k", {1, 2})
        cache.set("j:t", (1, 2))
        assert cache.get("j:t") == [1, 2]  # as every reader will have it
    assert cache.get_many(["k", "j:k", "j:t"]) == {"k": "old", "j:k": "old", "j:t": [1, 2]}


def test_locks_and_counters_work_at_once(cache):
    cache.set("n", 1)
    with suppress(Undo), transaction.atomic():
        assert cache.add("lock", "mine")
        assert seen_elsewhere("lock") == "mine"
        assert elsewhere(lambda: tiered().add("lock", "theirs")) is False
        assert cache.incr("n") == 2
        assert seen_elsewhere("n") == 2
        raise Undo
    assert cache.get_many(["lock", "n"]) == {"lock": "mine", "n": 2}


def test_counters_that_the_transaction_has_set_wait_with_it(cache):
    with transaction.atomic():
        cache.set("n", 5)
        assert cache.incr("n") == 6
        assert cache.add("n", 1) is False
        cache.delete("n")
        assert cache.add("n", 7) is True
        assert cache.touch("n", 60)
        assert cache.incr("n") == 8
        assert seen_elsewhere("n") is None
    assert seen_elsewhere("n") == 8


def test_another_alias_over_the_same_keys_sees_what_waits(cache, settings):
    own = settings.CACHES["default"]
    settings.CACHES = {**settings.CACHES, "second": own, "third": own}
    caches["second"].set("k", "old")
    with transaction.atomic():
        tiered().set("k", "new")
        assert caches["second"].get("k") == "new"
        assert caches["third"].get("k") == "new"  # made only now
    assert caches["third"].get("k") == "new"


@pytest.mark.django_db
def test_a_test_in_a_transaction_sees_its_own_writes(redis):
    tiered().set("k", 1)
    assert tiered().get("k") == 1
    assert tiered().get_or_load("l", lambda: 2) == 2
    assert tiered().get("l") == 2
    assert seen_elsewhere("k") is None


# --- Loads in a transaction -----------------------------------------------------------------------


def load_group():
    return Group.objects.values_list("name", flat=True).get()


def test_what_is_loaded_in_a_transaction_is_stored_after_its_commit(cache):
    group = Group.objects.create(name="old")
    with transaction.atomic():
        Group.objects.filter(pk=group.pk).update(name="new")
        assert cache.get_or_load("g", load_group) == "new"
        assert cache.get("g") == "new"
        assert cache.get_or_load("g", lambda: "never called") == "new"
        assert seen_elsewhere("g") is None
    assert seen_elsewhere("g") == "new"


def test_what_is_loaded_in_a_transaction_that_is_rolled_back_is_not_stored(cache):
    group = Group.objects.create(name="old")
    with suppress(Undo), transaction.atomic():
        Group.objects.filter(pk=group.pk).update(name="new")
        assert cache.get_or_load("g", load_group) == "new"
        raise Undo
    assert cache.get("g") is None
    assert cache.get_or_load("g", load_group) == "old"


MEANWHILE = {
    "deleted": lambda cache: cache.delete("g"),
    "written": lambda cache: cache.set("g", "newer"),
    "pattern": lambda cache: cache.delete_pattern("g*"),
    "glob": lambda cache: cache.delete_pattern("?"),
    "tag": lambda cache: invalidation.tag(cache, "groups"),
    "namespace": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("kind", MEANWHILE)
def test_what_was_invalidated_since_a_transaction_loaded_it_is_not_stored(cache, kind):
    Group.objects.create(name="old")
    with transaction.atomic():
        assert cache.get_or_load("g", load_group, tags=["groups"]) == "old"
        elsewhere(lambda: MEANWHILE[kind](tiered()))
    assert seen_elsewhere("g") == ("newer" if kind == "written" else None)


def test_what_a_transaction_deletes_and_then_loads_is_not_stored(cache):
    cache.set("g", "older")
    Group.objects.create(name="old")
    with transaction.atomic():
        cache.delete("g")
        assert cache.get_or_load("g", load_group) == "old"
    assert seen_elsewhere("g") is None


def test_what_an_old_snapshot_showed_is_not_stored(cache, monkeypatch):
    """The invalidation came before the transaction's load, yet after its first read."""
    monkeypatch.setattr(connection, "transaction_mode", None, raising=False)  # SQLite's default
    group = Group.objects.create(name="old")
    with transaction.atomic():
        Group.objects.count()  # a snapshot begins here, where the database has one

        def change():
            Group.objects.filter(pk=group.pk).update(name="new")
            tiered().delete("g")

        elsewhere(change)
        cache.get_or_load("g", load_group)
    assert seen_elsewhere("g", "nothing") in ("new", "nothing")
    assert cache.get_or_load("g", load_group) == "new"


def test_a_coroutine_within_a_transaction_stores_nothing(engine):
    async def made():
        return "uncommitted"

    with transaction.atomic():
        assert async_to_sync(tiered().aget_or_load)("k", made) == "uncommitted"
    assert tiered().get("k") is None
