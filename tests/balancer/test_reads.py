"""Positions, trails, replicas and readers alone; what the settings and the router refuse."""

import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from optimizer.balancer import figures
from optimizer.balancer.engine.lsn import LAST, end_of_records, from_key, parse, to_key
from optimizer.balancer.engine.reader import Reader
from optimizer.balancer.engine.replicas import (
    AWAY,
    FRESH_SECONDS,
    LAG,
    NO_STANDBY,
    OWN_WRITE,
    Replica,
    Trail,
    main_reason,
)
from optimizer.balancer.models import BalancerSettings
from optimizer.balancer.services.reads import positions, statistics
from optimizer.balancer.services.reads.executing import is_plain_read
from optimizer.control.redis import execute
from optimizer.control.series import Series

PAGE = 8192
any_database = pytest.mark.any_database


@any_database
def test_a_position_is_read_as_postgresql_writes_it():
    assert parse("16/B374D848") == 0x16B374D848
    assert parse("0/0") == 0
    assert parse("FFFFFFFF/FFFFFFFF") == LAST
    for bad in ("", "16", "x/1", "1/"):
        with pytest.raises(ValueError):
            parse(bad)


@any_database
@given(st.integers(0, LAST), st.integers(0, LAST))
def test_positions_sort_as_text(one, other):
    assert (to_key(one) < to_key(other)) == (one < other)
    assert from_key(to_key(one)) == one


@any_database
@pytest.mark.parametrize("text", ["", "1", "g" * 16, "f" * 17, "-" * 16, "１" * 16, " " * 16])
def test_text_that_is_no_position_is_none(text):
    assert from_key(text) is None


@any_database
def test_a_page_header_is_no_record():
    at = 5 * PAGE
    assert end_of_records(at + 24) == at  # an ordinary page's
    assert end_of_records(at + 40) == at  # a segment's first
    assert end_of_records(at + 48) == at + 48  # the shortest record
    assert end_of_records(at) == at


@any_database
def test_lag_is_the_age_of_what_the_primary_had():
    trail = Trail()
    for at, position in ((10.0, 100), (11.0, 200), (12.0, 200), (13.0, 200), (14.0, 300)):
        trail.add(at, position)
    assert trail.lag_seconds(300, 14.1, 99.0) == pytest.approx(0.1)
    assert trail.lag_seconds(250, 15.0, 99.0) == 2.0  # it was so until 13
    assert trail.lag_seconds(150, 15.0, 99.0) == 5.0
    assert trail.lag_seconds(50, 15.0, 99.0) == 99.0  # before what was noted
    assert trail.lag_seconds(50, 15.0, 0.0) == 5.0
    assert Trail().lag_seconds(50, 15.0, float("inf")) == float("inf")


@any_database
def test_a_primary_that_writes_nothing_makes_no_lag():
    trail = Trail()
    for at in range(10_000):
        trail.add(float(at), 100)
    assert trail.lag_seconds(100, 10_000.0, 5000.0) == 1.0


@any_database
def test_why_a_replica_may_not_serve():
    one = Replica("replica_1")
    assert one.why_not(0, 5.0, 10.0) == AWAY  # nobody has looked
    one.seen(5.0, 10_000, 2.0)
    assert one.why_not(10_000, 5.0, 10.0) == ""
    assert one.why_not(10_001, 5.0, 10.0) == OWN_WRITE
    assert one.why_not(0, 5.0, 1.0) == LAG
    assert one.why_not(0, 5.1 + FRESH_SECONDS, 10.0) == AWAY
    one.compare(6.0, 9_999)
    assert one.why_not(0, 5.0, 10.0) == NO_STANDBY  # it cannot be ahead of its primary
    one.seen(6.5, 10_000, 0.0)
    one.compare(6.0, 9_999)  # the primary was asked before
    assert one.why_not(0, 6.5, 10.0) == ""
    one.lost("refused")
    assert one.why_not(0, 6.5, 10.0) == AWAY
    assert main_reason([AWAY, LAG, OWN_WRITE]) == OWN_WRITE
    assert main_reason([]) == AWAY


@any_database
def test_what_is_written_while_the_primary_is_asked_is_asked_for_again():
    one = Reader("bot:1", 0, lambda: 1.0)
    one.wrote()
    marks = one.marks
    one.wrote()  # by another thread
    one.settle(marks, 500)
    assert (one.has_written, one.required) == (True, 500)
    one.settle(one.marks, 400)
    assert (one.has_written, one.required) == (False, 500)
    assert Reader("", LAST, lambda: 1.0).is_pinned


@any_database
@pytest.mark.parametrize(
    ("sql", "is_read"),
    [
        ("SELECT 1", True),
        ("  (select 1) UNION (select 2)", True),
        ('SAVEPOINT "x"', True),
        ("UPDATE a SET b = 1", False),
        ("WITH a AS (DELETE FROM b RETURNING 1) SELECT * FROM a", False),
        ("COPY a FROM STDIN", False),
        ("EXPLAIN ANALYZE DELETE FROM a", False),
        (b"SELECT 1", False),
    ],
)
def test_all_but_plain_reads_are_taken_to_write(sql, is_read):
    assert is_plain_read(sql) is is_read


@any_database
def test_positions_are_kept_by_name_and_never_go_back(redis):
    shared = positions.Positions()
    redis.set(positions.WHOLE, "1")
    assert shared.load("bot:1") == 0
    for at in (500, 2**60 + 1, 2**60):
        shared.store("bot:1", at)
    assert shared.load("bot:1") == 2**60 + 1
    assert shared.load("bot:2") == 0
    shared.store("bot:2", LAST)
    assert shared.load("bot:2") == LAST
    assert 60_000 < redis.pttl(positions.key_of("bot:1")) <= 1000 * positions.kept_seconds()


@any_database
def test_a_redis_that_lost_what_it_knew_says_nothing_for_a_while(redis):
    shared = positions.Positions()
    assert shared.load("bot:1") is None
    assert shared.load("bot:1") is None
    assert 0 < redis.pttl(positions.LOST) <= 1000 * positions.floor_seconds()
    redis.delete(positions.LOST)  # as time does
    assert shared.load("bot:1") == 0


@any_database
def test_what_could_not_be_told_is_told_later(redis, settings, monkeypatch):
    from optimizer.control import redis as access

    redis.set(positions.WHOLE, "1")
    shared, url = positions.Positions(), settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    access.forget()
    shared.store("bot:1", 700)
    assert shared.load("bot:1") is None
    shared.tick()
    settings.REDIS_URL = url
    access.forget()
    access.breaker.reset()
    assert shared.load("bot:1") is None  # others may have had something to tell, too
    shared.tick()
    assert execute("GET", positions.key_of("bot:1")) == to_key(700).encode()
    monkeypatch.setattr(positions, "floor_seconds", lambda: 0.0)
    assert shared.load("bot:1") == 700


@pytest.mark.django_db
def test_the_share_of_reads_on_replicas_is_a_figure(redis, settings, monkeypatch):
    told = Series("balancer-test-reads")
    monkeypatch.setattr(statistics, "series", told)
    assert "replica_reads_percent" not in figures.read()  # there are no replicas
    settings.DATABASE_REPLICAS = ["near", "far"]
    assert "replica_reads_percent" not in figures.read()  # nobody has read
    with monkeypatch.context() as earlier:  # the newest slots are not complete
        earlier.setattr(told, "_clock", lambda: time.time() - 25)
        told.add({"near|": 5, "far|": 1, "default|pinned": 2})
        told.send()
    assert figures.read()["replica_reads_percent"] == 75


@pytest.mark.django_db
def test_apps_that_stay_on_the_primary_must_exist():
    row = BalancerSettings.load()
    row.primary_apps = "auth, sessoins"
    with pytest.raises(ValidationError, match="no app labelled sessoins"):
        row.full_clean()
    row.primary_apps = " auth ,library"
    row.full_clean()


@any_database
@pytest.mark.parametrize(
    ("replicas", "database", "says"),
    [
        ("mysql://secret@host/x", "postgres://u:p@h/d", "DATABASE_REPLICA_URLS must be like"),
        ("postgres://u:secret@h/d", "", "must stand beside a DATABASE_URL of PostgreSQL"),
        ("postgres://u:secret@h:port/d", "postgres://u:p@h/d", "DATABASE_REPLICA_URLS must be"),
    ],
)
def test_replicas_that_cannot_be_are_refused_by_name(replicas, database, says):
    given = {"DATABASE_REPLICA_URLS": replicas, "DATABASE_URL": database}
    done = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings; settings.DATABASES"],
        env={"DJANGO_SETTINGS_MODULE": "config.settings.test", "PATH": "", **given},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert says in done.stderr
    assert "secret" not in done.stderr


def test_without_replicas_there_is_neither_router_nor_middleware(client):
    assert settings.DATABASE_REPLICAS == ()
    assert not any("balancer" in name for name in settings.DATABASE_ROUTERS)
    response = client.get("/health", HTTP_X_READER="bot-1")
    assert "X-Read-After" not in response.headers
