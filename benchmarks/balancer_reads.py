"""Balanced database reads: the router's own cost, and stale reads beside a router that is blind.

Run `python -m benchmarks.balancer_reads [--json FILE]`; half a minute. It starts Redis, and
PostgreSQL with two streaming replicas, one of which stands still for up to two seconds at a time.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

from benchmarks.place import own_place
from benchmarks.table import Row, arguments, nanoseconds_per_call, show, verdict
from optimizer.operations.private_postgres import find_binaries, private_postgres

if TYPE_CHECKING:
    from tests.balancer.replicas import Replica

SECONDS = 8.0
READERS = 20


class Blind:
    """The router of Django's own documentation: any replica for any read."""

    def db_for_read(self, model: object, **hints: object) -> str:
        return random.choice(("replica_1", "replica_2"))  # noqa: S311

    def db_for_write(self, model: object, **hints: object) -> str:
        return "default"

    def allow_relation(self, *_: object, **__: object) -> bool:
        return True


def cost() -> list[Row]:
    """Time one decision, and one read by primary key with it."""
    from django.db import router
    from django_celery_beat.models import SolarSchedule

    from optimizer.balancer import reads
    from optimizer.balancer.router import ReadRouter

    tuneup, blind = ReadRouter(), Blind()
    with reads.reader("bot:1"):
        _until_balanced(tuneup)
        calls: dict[str, Callable[[], object]] = {
            "one decision: random.choice": lambda: blind.db_for_read(SolarSchedule),
            "  tuneup": lambda: tuneup.db_for_read(SolarSchedule),
        }
        times = nanoseconds_per_call(calls, seconds=1.0)
        whole: dict[str, Callable[[], object]] = {
            "one read: primary, no router": lambda: list(
                SolarSchedule.objects.using("default").filter(pk=1)
            ),
            "  tuneup, on replicas": lambda: list(SolarSchedule.objects.filter(pk=1)),
        }
        assert router.db_for_read(SolarSchedule).startswith("replica")
        read_times = nanoseconds_per_call(whole, seconds=2.0)
    rows = []
    for found, unit_base in ((times, "one decision: random.choice"),
                             (read_times, "one read: primary, no router")):  # fmt: skip
        rows += [Row(name, took, "ns", took / found[unit_base]) for name, took in found.items()]
    return rows


def _until_balanced(router: object) -> None:
    from django_celery_beat.models import SolarSchedule

    deadline = time.monotonic() + 60
    while not router.db_for_read(SolarSchedule).startswith("replica"):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "no replica takes reads"
        time.sleep(0.1)


def stale(name: str, start: int, replicas: "list[Replica]") -> Row:
    """Have readers write and read at once; count who did not see what it wrote."""
    from django.db import connection
    from django_celery_beat.models import SolarSchedule

    from optimizer.balancer import reads

    found, over = Counter[str](), threading.Event()

    def stand_still() -> None:
        chance = random.Random(5)  # noqa: S311
        while not over.wait(chance.uniform(0.1, 0.5)):
            replicas[0].pause()
            over.wait(chance.uniform(0.2, 2.0))
            replicas[0].resume()

    rows = [
        SolarSchedule.objects.create(event="sunset", latitude=n, longitude=start).pk
        for n in range(READERS)
    ]
    for one in replicas:
        one.caught_up()  # nobody's own write: each reader begins with its first
    pauses = threading.Thread(target=stand_still)
    pauses.start()
    chance, until = random.Random(1), time.monotonic() + SECONDS  # noqa: S311
    written = dict.fromkeys(rows, 0)  # by reader
    while time.monotonic() < until:
        pk = chance.choice(rows)
        if chance.random() < 0.2:
            written[pk] += 1
            with reads.reader(f"bot:{pk}"):
                SolarSchedule.objects.filter(pk=pk).update(longitude=start + written[pk] % 90)
        with reads.reader(f"bot:{pk}"):
            one = SolarSchedule.objects.filter(pk=pk).first()
        found["reads"] += 1
        found["stale"] += one is None or int(one.longitude) != start + written[pk] % 90
    over.set()
    pauses.join()
    connection.close()
    share = 100_000 * found["stale"] / found["reads"]
    return Row(f"stale reads in 100,000: {name}", share, "")


@contextmanager
def _django_over(url: str):
    """Start Django over a primary and two replicas."""
    from urllib.parse import urlsplit

    from tests.balancer.replicas import standbys

    at = urlsplit(url)
    login = {"HOST": at.hostname, "PORT": at.port, "USER": at.username, "PASSWORD": at.password}
    with standbys(0.0, 0.0, of=SimpleNamespace(settings_dict=login)) as replicas:
        urls = ",".join(one.url("postgres") for one in replicas)
        with own_place(DATABASE_URL=url, DATABASE_REPLICA_URLS=urls):
            yield replicas


def main() -> None:
    options = arguments(__doc__ or "")
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    with private_postgres(binaries) as url, _django_over(url) as replicas:
        from django.db import router

        from optimizer.balancer.models import BalancerSettings
        from optimizer.balancer.router import ReadRouter
        from optimizer.balancer.services import seeds
        from optimizer.balancer.services.reads import positions
        from optimizer.control.redis import execute
        from optimizer.control.revisions import change

        execute("SET", positions.WHOLE, "1")
        seeds.seed()
        with change("balancer"):
            row = BalancerSettings.load()
            row.primary_apps = "sessions"  # the rows of the benchmark are the scheduler's
            row.save()
        rows = cost()
        # Longitudes from `start` on: the rows of one router are none of the other's.
        for name, start, one in (("any replica", -90, Blind()), ("tuneup", 0, ReadRouter())):
            router.routers = [one]
            rows.append(stale(name, start, replicas))
        worst = rows[-1]
        rows[-1] = Row(worst.name, worst.value, "", None, verdict(worst.value, "<=", 0.0, ""))
        show("Balanced database reads", rows, options.json)


if __name__ == "__main__":
    main()
