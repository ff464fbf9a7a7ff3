"""Reads over real streaming replicas that lag: nobody misses what it wrote, whoever is killed."""

import json
import random
import time
from collections import Counter

import pytest
from django.db import connection

from optimizer.balancer.models import Backend, Group
from optimizer.balancer.services.reads import positions
from optimizer.control.revisions import change
from tests.balancer.replicas import standbys
from tests.children import children, database_url
from tests.library.models import Tag

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "not os.environ.get('DATABASE_URL', '').startswith('postgres')",
        reason="streaming replication is PostgreSQL's: `manage.py test` runs it there",
    ),
]
WAIT_SECONDS = 60.0
SECONDS = 14.0

# Each thread writes rows of its own and reads all; what is in `acked` was written before it was
# read. Readers without a name are promised nothing: they show that the replicas do lag.
WORK = """
import json, os, random, threading, time
from collections import Counter
from redis import Redis
from optimizer.balancer import metrics, reads
from optimizer.balancer.services.reads.statistics import statistics
from optimizer.control import watcher
from tests.library.models import Tag
watcher.start("web")
rows = json.loads(os.environ["ROWS"])
me, threads = int(os.environ["ME"]), 3
acked = Redis.from_url(settings.REDIS_URL)
found, lock = Counter(), threading.Lock()
def count(what, times=1):
    with lock:
        found[what] += times
def read(pk, name):
    least = int(acked.get(f"acked:{pk}") or 0)
    with reads.reader(name):
        tag = Tag.objects.get(pk=pk)
    count("stale" if int(tag.name) < least else "fresh", 1) if name else (
        count("nameless stale", int(tag.name) < least))
def work(number):
    chance, mine, value = random.Random(number), rows[number :: 2 * threads], 0
    until = time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < until:
        try:
            if chance.random() < 0.15:
                pk, value = chance.choice(mine), value + 1
                with reads.reader(f"bot:{pk}"):
                    Tag.objects.filter(pk=pk).update(name=str(value))
                    if chance.random() < 0.5 and int(Tag.objects.get(pk=pk).name) < value:
                        count("stale")
                acked.set(f"acked:{pk}", value)
            pk = chance.choice(rows)
            read(pk, f"bot:{pk}" if chance.random() < 0.7 else "")
        except Exception as error:
            count(f"error: {type(error).__name__}: {error}")
        time.sleep(0.002)
every = [threading.Thread(target=work, args=(me * threads + n,)) for n in range(threads)]
print("began")
[one.start() for one in every]
[one.join() for one in every]
statistics.report()
for family in (metrics.READS, metrics.READS_REDONE, metrics.STALE_READS_AVOIDED):
    for metric in family.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                found["|".join([sample.name[16:-6], *sample.labels.values()])] += int(sample.value)
print("found " + json.dumps(found))
"""


def seed(aliases, **fields):
    with change("balancer"):
        fields = {"max_ejected_percent": 100, "panic_percent": 0, "ejection_seconds": 1.0, **fields}
        group = Group.objects.create(name="replicas", kind="database", **fields)
        for alias in aliases:
            Backend.objects.create(group=group, name=alias.replace("_", "-"), address=alias)


def environment(replicas):
    database = connection.settings_dict["NAME"]
    return {
        "DATABASE_URL": database_url(),
        "DATABASE_REPLICA_URLS": ",".join(one.url(database) for one in replicas),
    }


def test_nobody_misses_what_it_wrote_while_replicas_lag_and_one_is_killed(redis):
    """Two processes of three threads; one replica stops for up to 5 s at a time, the other lags by
    half a second until it is killed."""
    redis.set(positions.WHOLE, "1")
    rows = [Tag.objects.create(name="0").pk for _ in range(12)]
    seed(["replica_1", "replica_2"])
    with standbys(0.0, 0.5) as (first, second):
        first.caught_up()
        second.caught_up()
        given = environment((first, second)) | {"ROWS": json.dumps(rows), "SECONDS": str(SECONDS)}
        with (
            children(1, WORK, ME="0", **given) as left,
            children(1, WORK, ME="1", **given) as right,
        ):
            for child in (*left, *right):
                child.read_until("began", WAIT_SECONDS)
            began, chance = time.monotonic(), random.Random(3)  # noqa: S311
            killed = False
            while (passed := time.monotonic() - began) < SECONDS - 1:
                first.pause()
                time.sleep(chance.uniform(0.5, 5.0) if passed < SECONDS - 6 else 0.5)
                first.resume()
                time.sleep(chance.uniform(0.5, 1.5))
                if passed > SECONDS / 2 and not killed:
                    second.kill()
                    killed = True
            found: Counter[str] = Counter()
            for child in (*left, *right):
                said = child.read(WAIT_SECONDS)
                assert said is not None
                assert said.startswith("found "), said
                found.update(json.loads(said.removeprefix("found ")))
    assert killed
    errors = {what: count for what, count in found.items() if what.startswith("error")}
    assert errors == {}
    assert found["stale"] == 0, found
    assert found["nameless stale"] > 0, found  # the replicas did lag, and did serve
    assert found["reads|replica_1|balanced"] > 100, found
    assert found["reads|replica_2|balanced"] > 100, found
    assert found["reads|default|own write"] > 0, found
    assert found["stale_reads_avoided"] > 0, found
    assert found["fresh"] > 500, found
