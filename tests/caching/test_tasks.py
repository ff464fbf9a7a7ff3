import time
from typing import Any

import pytest
from django.core.cache import cache as default_cache

from caching import tasks
from caching.engine.sweeping import sweep
from caching.models import Invalidation, Namespace
from caching.services import invalidation, records, sweeping, warmers
from caching.services.engines import main_engine
from config.celery import app

cache: Any = default_cache  # a TieredCache, which takes more than Django's types say
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "users")]
FORGOTTEN_IN = 0.15


@pytest.fixture
def root():
    return main_engine().remote.root


@pytest.fixture
def names(redis, root):
    def count(namespace="user.0"):
        return redis.zcard(f"{root}~index:{namespace}")

    return count


def run():
    return tasks.sweep()["redis"]


def fill(count, ttl=None, **options):
    cache.set_many({f"user:{number}": number for number in range(count)}, ttl, **options)


def expire():
    """Wait until Redis has let what lives for `FORGOTTEN_IN` go."""
    time.sleep(FORGOTTEN_IN + 0.1)


def test_the_sweep_keeps_the_newest_records(monkeypatch):
    monkeypatch.setattr(records, "KEPT", 2)
    for number in range(4):
        records.note(f"tag {number}", number, waited=False)
    run()
    assert [one.what for one in Invalidation.objects.all()] == ["tag 3", "tag 2"]


def test_celery_finds_the_tasks_and_beat_the_schedule():
    app.loader.import_default_modules()
    assert {"caching.sweep", "caching.warm"} <= set(app.tasks)
    assert app.conf.beat_schedule["caching-sweep"]["task"] == "caching.sweep"


def test_beat_keeps_the_sweep_as_an_entry_that_can_be_edited():
    from django_celery_beat.models import PeriodicTask
    from django_celery_beat.schedulers import DatabaseScheduler

    DatabaseScheduler(app=app, lazy=True).setup_schedule()
    entry = PeriodicTask.objects.get(name="caching-sweep")
    assert (entry.task, entry.interval.every, entry.expire_seconds) == ("caching.sweep", 60, 60)


def test_an_index_forgets_what_has_expired(names):
    fill(700, FORGOTTEN_IN)
    cache.set("user:kept", 1, None)
    expire()
    assert names() == 701
    done = run()
    assert (done["forgotten"], done["finished"]) == (700, True)
    assert names() == 1
    assert cache.get("user:kept") == 1


def test_an_old_generation_is_deleted(redis, names, root):
    fill(5000)
    cache.set("other", 1, None)
    invalidation.namespaces(cache, ["user"])
    fill(3)
    assert len(redis.keys(f"{root}:user.0:*")) == 5000
    done = run()
    assert (done["deleted"], done["finished"]) == (5000, True)
    assert redis.keys(f"{root}:user.0:*") == []
    assert redis.exists(f"{root}~index:user.0", f"{root}~garbage") == 0
    assert names("user.1") == 3
    assert len(cache.get_many(["user:0", "user:1", "user:2", "other"])) == 4


def test_a_tag_forgets_what_is_gone_and_is_forgotten_when_empty(redis, root):
    fill(600, FORGOTTEN_IN, tags=["all", "brief"])
    cache.set("user:kept", 1, None, tags=["all"])
    expire()
    assert run()["forgotten"] == 600 + 2 * 600
    assert redis.smembers(f"{root}~tag:all") == {b"user.0::1:user:kept"}
    assert redis.exists(f"{root}~tag:brief") == 0
    assert redis.zrange(f"{root}~tags", 0, -1) == [b"all"]
    assert invalidation.tag(cache, "all") == 1
    assert redis.exists(f"{root}~tags") == 0


def test_a_value_whose_life_was_lengthened_keeps_its_tag():
    cache.set("user:1", 1, FORGOTTEN_IN, tags=["t"])
    cache.touch("user:1", 100)
    expire()
    run()
    assert invalidation.tag(cache, "t") == 1
    assert cache.get("user:1") is None


def test_a_run_is_bounded_and_the_next_goes_on(names):
    Namespace.objects.create(name="all", prefix="all:")
    cache.set_many({f"all:{number}": 1 for number in range(1200)}, FORGOTTEN_IN)
    fill(2500, FORGOTTEN_IN, tags=["t"])
    fill(700, None, tags=["t"])
    expire()
    runs: list[dict[str, Any]] = []
    while not runs or not runs[-1]["finished"]:
        runs.append(vars_of(sweeping.sweep_all(most_names=1000)["redis"]))
        assert runs[-1]["seen"] <= 1000 + 501
    assert 4 <= len(runs) <= 10
    assert sum(one["forgotten"] for one in runs) == 1200 + 1800 + 1800
    assert (names("all.0"), names()) == (0, 700)
    assert sweeping.sweep_all(most_seconds=0)["redis"].seen == 0


def vars_of(swept):
    return {name: getattr(swept, name) for name in swept.__slots__}


def test_many_tags_are_swept_over_several_runs(redis, root):
    for number in range(1200):
        cache.set(f"user:{number}", 1, FORGOTTEN_IN, tags=[f"tag:{number}"])
    expire()
    runs = 1
    while not sweeping.sweep_all(most_names=1000)["redis"].finished:
        runs += 1
        assert runs < 10
    assert runs > 1
    assert redis.exists(f"{root}~tags") == 0
    assert redis.keys(f"{root}~tag:*") == []


def test_two_never_sweep_at_once(redis, root):
    assert main_engine().remote.begin_sweep("other", 60_000)
    assert run()["busy"] is True
    redis.delete(f"{root}~sweeping")
    assert run()["finished"] is True
    assert redis.exists(f"{root}~sweeping") == 0


def test_a_sweep_that_took_too_long_leaves_the_lock_of_the_next(redis, root):
    remote = main_engine().remote
    redis.set(f"{root}~sweeping", "next")
    remote.end_sweep("first", b"")
    assert redis.get(f"{root}~sweeping") == b"next"


def test_what_nobody_can_read_of_the_last_place_begins_anew(redis, root, names):
    fill(3, FORGOTTEN_IN)
    expire()
    redis.set(f"{root}~swept", b"\xc1 of another version")
    assert run()["forgotten"] == 3
    assert names() == 0


def test_what_a_deleted_namespace_held_is_swept(redis, users, names):
    fill(10)
    run()
    users.delete()
    run()
    assert names() == 0
    assert names("user.1") == 0
    assert redis.keys("*:user.0:*") == []


@pytest.mark.usefixtures("cache_away")
def test_redis_away_is_told_and_no_failure():
    assert run()["away"] is True


def test_a_sweep_lets_go_of_its_lock_when_redis_fails(redis, root):
    remote = main_engine().remote
    redis.set(f"{root}~garbage", "of a wrong type")
    from caching.engine.remote import Away

    with pytest.raises(Away):
        sweep(remote, ["user"], 1000, 5)
    assert redis.exists(f"{root}~sweeping") == 0


def test_a_warmer_that_fails_fails_its_task(monkeypatch):
    monkeypatch.setattr(warmers, "_warmers", {})
    warmers.warms("fine")(lambda: cache.set("user:1", "warm"))
    warmers.warms("broken")(lambda: 1 / 0)
    assert tasks.warm("fine") >= 0
    assert cache.get("user:1") == "warm"
    with pytest.raises(tasks.WarmingFailed, match="broken: ZeroDivisionError"):
        tasks.warm("broken")
    with pytest.raises(warmers.UnknownWarmer, match="there are: broken, fine"):
        tasks.warm("no")
