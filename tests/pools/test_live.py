"""Limits that admins change reach pools that work, in every process."""

import threading
import time
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection, connections, transaction

from optimizer.control import live
from optimizer.control.registry import get
from optimizer.pools import retried
from optimizer.pools.checks import connection_settings, server_limits
from optimizer.pools.engine.base import pools as registry
from optimizer.pools.engine.leaks import Leak
from optimizer.pools.engine.limits import Limits
from optimizer.pools.live import given_limits, limits_of, pools
from optimizer.pools.models import PooledConnection
from optimizer.pools.services import leaks, operating, reporter, seeds
from optimizer.pools.services import servers as asked
from optimizer.pools.services.servers import Server
from tests.children import children
from tests.pools.servers import needs_postgresql, server
from tests.pools.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

OBEY = """
import time
from optimizer.control import redis as access, watcher
from optimizer.pools.engine.base import pools
from optimizer.pools.live import pools as settings
access.call(lambda r: r.ping())
watcher.start("web")
settings.current()
last = None
while True:
    (found,) = {one._places.limit for one in pools.all() if one.alias == "redis"}
    if found != last:
        print(found)
        last = found
    time.sleep(0.005)
"""

FORK = """
import os
from django.db import connection
from optimizer.pools.engine.base import pools
def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]
mine = backend()
if not os.fork():
    theirs = backend()
    mine_alone = [one for one in pools.all() if one.kind == "postgresql"]
    print("shared" if theirs == mine else "own", len(mine_alone))
    os._exit(0)
os.wait()
print("same" if backend() == mine else "lost")
"""


def test_a_change_reaches_the_pools_of_four_processes(redis):
    seeds.seed()
    with children(4, OBEY) as started:
        for child in started:
            child.read_until("50", 60)
        for size in (7, 60):
            PooledConnection.objects.filter(alias="redis").update(max_size=size)
            for child in started:
                child.read_until(str(size), 30)


@needs_postgresql
def test_a_child_has_connections_of_its_own_and_the_parents_stay(redis):
    with children(1, FORK) as (child,):
        assert child.read(60) == "own 1"
        assert child.read(60) == "same"


def test_rows_become_limits_and_pools_obey_them(redis):
    assert limits_of("redis", "redis") == given_limits("redis", "redis")
    seeds.seed()
    PooledConnection.objects.filter(alias="redis").update(max_size=3, idle_timeout_seconds=9)
    live.catch_up()
    assert limits_of("redis", "redis").max_size == 3
    pool: Any = next(one for one in registry.all() if one.alias == "redis")
    assert pool._places.limit == 3


def test_a_follower_that_fails_keeps_nobody_from_the_settings(monkeypatch):
    seen: list[object] = []
    monkeypatch.setattr(pools, "_followers", [lambda _: 1 / 0, seen.append])
    assert pools.reload()
    assert seen == [pools.current()]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it is about SQLite's row")
def test_connections_to_sqlite_live_as_long_as_their_row_says(redis, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    seeds.seed()
    PooledConnection.objects.filter(alias="default").update(max_lifetime_seconds=33)
    live.catch_up()
    assert connections.settings["default"]["CONN_MAX_AGE"] == 33


def test_reports_are_summed_over_processes_and_end_with_them(redis, monkeypatch):
    with children(1, OBEY) as (child,):
        child.read_until("50", 60)
        reporter.report()
        wait_until(lambda: len(reporter.reports()) == 2)
        found = [one.name for one in reporter.reports()]
        assert len(set(found)) == 2
    # Killed, it says nothing any more.
    wait_until(lambda: len(reporter.reports()) == 1, 30)


def test_a_leak_is_logged_with_its_stack_but_not_of_a_commands_one_thread(redis, caplog):
    def told() -> list[Leak]:
        # A connection that another test has dropped or left idle may be told of, too.
        found = [one.leak for one in leaks.last()]
        return [one for one in found if one.held_seconds in (75.0, 80.0) or one.pool == "cache"]

    mine = threading.main_thread().ident or 0
    leaks.report(Leak("default", 75.0, mine, ("bot.py:7 run",), True))
    assert "75.0" not in caplog.text and told() == []
    leaks.report(Leak("default", 75.0, mine + 1, ("bot.py:7 run",), True))
    leaks.report(Leak("default", 80.0, mine + 1, (), False, came_back=True))
    leaks.report(Leak("cache", 0.0, 0, (), False))
    assert "held for 75.0 s" in caplog.text and "bot.py:7 run" in caplog.text
    assert "dropped without being given back" in caplog.text
    reporter.report()
    assert [one.held_seconds for one in told() if one.pool == "default"] == [80.0, 75.0]
    assert len(told()) == 3


def test_recycling_replaces_the_connections_of_the_pool(redis):
    seeds.seed()
    live.catch_up()
    from optimizer.control.redis import call

    first = call(lambda r: r.client_id())
    operating.recycle("redis")
    live.catch_up()
    assert call(lambda r: r.client_id()) != first


@needs_postgresql
def test_djangos_connections_are_those_of_the_pool(redis):
    wrapper: Any = connections["default"]
    connection.close()
    before = wrapper.pool.statistics.totals()
    for _ in range(10):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()
    news = wrapper.pool.statistics.totals().since(before)
    assert news.acquired == 10 and news.created <= 1
    wrapper.pool.apply(Limits(max_size=2))
    wrapper.ensure_timezone()  # Django closes the pool here; the next one is managed too
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert wrapper.pool.kind == "postgresql"


@needs_postgresql
def test_what_is_safe_to_repeat_is_repeated_when_its_connection_is_lost(redis):
    connection.close()
    calls = []

    @retried()
    def ask(at_first):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
            calls.append(backend)
            if len(calls) == 1 or not at_first:
                with server("nobody") as seen:
                    seen._conn.execute("SELECT pg_terminate_backend(%s)", [backend])
            cursor.execute("SELECT 1")
        return "done"

    assert ask(True) == "done" and len(set(calls)) == 2
    calls.clear()
    with pytest.raises(OperationalError), transaction.atomic():
        ask(True)
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(OperationalError):
        ask(False)
    assert len(calls) == 3
    connection.close()


def test_an_error_that_is_none_of_the_connection_is_raised_at_once(redis):
    calls = []

    @retried()
    def fail():
        calls.append(1)
        raise OperationalError("deadlock detected")

    connection.ensure_connection()
    with pytest.raises(OperationalError):
        fail()
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
def test_a_pool_with_persistent_connections_fails_the_checks(settings):
    assert not run_checks(tags=["pools"])
    bad = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60, "OPTIONS": {"pool": True}}
    settings.DATABASES = {**settings.DATABASES, "other": bad}
    assert [one.id for one in connection_settings()] == ["pools.E001", "pools.W001"]


def test_a_pool_larger_than_its_server_fails_the_checks(monkeypatch):
    from optimizer.pools import checks

    monkeypatch.setattr(checks, "server_of", lambda alias, kind: Server(10, 3, 1))
    monkeypatch.setattr(checks, "kind_of_database", lambda alias: "postgresql")
    assert [one.id for one in server_limits(databases=["default"])] == ["pools.W002"]
    monkeypatch.setattr(checks, "server_of", lambda alias, kind: Server(11, 3, 1))
    assert server_limits(databases=["default"]) == []


def test_servers_say_what_they_take(redis):
    found = asked.server_of("redis", "redis")
    assert found is not None and found.limit >= found.used >= 1
    if connection.vendor == "postgresql":
        database = asked.server_of("default", "postgresql")
        assert database is not None and database.reserved >= 3
        assert database.room == database.limit - database.reserved


def test_every_self_check_passes(redis):
    for check in get("pools").verify:
        check.run()


def test_a_suspension_is_over_for_all_by_their_own_clocks(redis):
    seeds.seed()
    operating.suspend("cache", 0.2)
    live.catch_up()
    assert limits_of("cache", "redis").suspended_until > time.time() - 1
    wait_until(lambda: limits_of("cache", "redis").suspended_until < time.time())
