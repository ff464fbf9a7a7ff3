"""Real Celery workers keep their connections from task to task, and heal."""

import os
from typing import Any

import psycopg
import pytest
from django.conf import settings
from kombu import Connection

from config.celery import app
from optimizer.pools.services.celery_fixup import PoolingFixup
from tests.library.tasks import ask_the_database
from tests.pools.servers import needs_postgresql, options
from tests.pools.waiting import wait_until
from tests.pools.workers import worker

ANSWERS = "test:answers"
PREFORK = ("--pool", "prefork", "--concurrency", "2")
THREADS = ("--pool", "threads", "--concurrency", "2")


def send(count):
    task: Any = ask_the_database
    with Connection(settings.REDIS_URL) as broker:
        for _ in range(count):
            task.apply_async(args=(ANSWERS,), connection=broker)


def answers(redis, at_least):
    wait_until(lambda: redis.llen(ANSWERS) >= at_least)
    found = [one.decode().split(":") for one in redis.lrange(ANSWERS, 0, -1)]
    redis.delete(ANSWERS)
    return {asker for asker, _ in found}, {backend for _, backend in found}


def test_the_app_has_the_fixup_that_keeps_connections():
    fixups: Any = vars(app)["_fixups"]
    assert [type(one) for one in fixups] == [PoolingFixup]


@needs_postgresql
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pool", [PREFORK, THREADS], ids=["prefork", "threads"])
def test_tasks_share_connections_and_outlive_their_end(redis, tmp_path, pool):
    with worker(tmp_path, *pool):
        send(100)
        askers, backends = answers(redis, 100)
        assert str(os.getpid()) not in askers
        # One for each process that works, and one that its watcher may have had.
        assert len(backends) <= 4
        with psycopg.connect(**options()) as conn:
            for backend in backends:
                conn.execute("SELECT pg_terminate_backend(%s)", [int(backend)])
        send(60)
        _, again = answers(redis, 58)
        assert len(again) <= 4 and not again & backends
