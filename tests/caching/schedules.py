"""Random schedules over real processes: does any invalidation leave a stale value behind?

Run `python -m tests.caching.schedules [--count 100000] [--seed N]`; it makes its own database and
Redis. The truth is a counter for each key in Redis, beside the cache. In each schedule every
process does a few things at random, at once: it raises the truth and then invalidates (by key,
pattern, tag or namespace, or by writing it), or reads through the cache, with loads that take a
random time between reading the truth and storing it. The invariants:

- a process that asks after its own invalidation has returned never gets an older truth;
- once the burst is over and every process has heard the news, each process gets the newest truth
  of every key, from its own copies, from Redis and by loading.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from optimizer.operations import embedded_redis, guard

PROCESSES, KEYS = 4, 4
BATCH = 25  # schedules between two questions to a process, to save time

# Runs in each process. Every process knows the same seed, so all know all schedules; each does
# its own part of each. Redis's lists are the barrier between two parts.
WORKER = """
import json, random, sys, threading, time
from redis import Redis
from caching.decorators import tiered
from caching.services import invalidation, loads

me, processes, keys, url = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
cache, truth = tiered(), Redis.from_url(url, socket_timeout=120)
engine = cache.engine
engine.ready()
while not engine.cache.line.connected:
    time.sleep(0.01)
print("ready")

def key(n):
    return f"k:{n}"

def load(n, pause):
    def make():
        seen = int(truth.hget("truth", n) or 0)
        if pause:
            time.sleep(pause)
        return seen
    return cache.get_or_load(key(n), make, 60, tags=[f"t:{n % 2}"])

def barrier(name):
    # All arrive, then all go on.
    if truth.incr(f"barrier:{name}") == processes:
        truth.rpush(f"go:{name}", *range(processes))
        truth.expire(f"barrier:{name}", 60)
    truth.blpop(f"go:{name}", 60)

def change(n, how):
    newest = truth.hincrby("truth", n, 1)
    if how == "key":
        cache.delete(key(n))
    elif how == "many":
        cache.delete_many([key(n), "other"])
    elif how == "prefix":
        cache.delete_pattern(f"k:{n}*")
    elif how == "glob":
        cache.delete_pattern(f"?:{n}")
    elif how == "tag":
        invalidation.tag(cache, f"t:{n % 2}")
    elif how == "namespace":
        invalidation.namespaces(cache, ["default"])
    return newest

HOWS = ("key", "key", "many", "prefix", "glob", "tag", "namespace")

def step(rng, stale, where):
    n, kind = rng.randrange(keys), rng.random()
    pause = rng.choice((0, 0, 0.0005, 0.002))
    if kind < 0.4:
        how = rng.choice(HOWS)
        newest = change(n, how)
        if rng.random() < 0.5:
            # In the process that invalidated, at once: its own copies are gone.
            got = cache.get(key(n)) if rng.random() < 0.5 else load(n, pause)
            if got is not None and got < newest:
                stale.append([where, f"own {how}", n, got, newest])
    elif kind < 0.75:
        load(n, pause)
    elif kind < 0.9:
        cache.get(key(n))
    else:
        cache.get_many([key(one) for one in range(keys)])

def schedule(number, seed, stale):
    steps = random.Random(seed * 1_000_003 + number).randrange(1, 4)
    threads = []
    for thread in range(2):
        rng = random.Random(f"{seed}/{number}/{me}/{thread}")
        def work(rng=rng):
            for _ in range(steps):
                step(rng, stale, number)
        threads.append(threading.Thread(target=work))
    for one in threads: one.start()
    for one in threads: one.join()
    barrier(f"{number}:done")
    # All is told by now: hear it. A gap has dropped all copies, and counts as heard.
    last = int(engine.remote._execute("GET", engine.remote.root + "~seq") or 0)
    line, until = engine.cache.line, time.monotonic() + 10
    while (line._last or 0) < last:
        if time.monotonic() > until:
            stale.append([number, "unheard", line._last, last])
            break
        if not line.connected:
            time.sleep(0.01)
            if line.connected and line._last is None:
                break
        time.sleep(0.0002)
    newest = [int(one or 0) for one in truth.hmget("truth", range(keys))]
    order = list(range(keys))
    random.Random(f"{seed}/{number}/{me}/check").shuffle(order)
    for n in order:
        got = cache.get(key(n)) if number % 2 else load(n, 0)
        if got is not None and got != newest[n]:
            stale.append([number, "later", n, got, newest[n]])
    barrier(f"{number}:checked")

for text in sys.stdin:
    first, count, seed = json.loads(text)
    stale = []
    for number in range(first, first + count):
        schedule(number, seed, stale)
    counts = engine.cache.spaces.default.counts
    print(json.dumps([stale, int(counts["loads"]), int(counts["refused"]), int(counts["l1_hits"])]))
"""


@dataclass
class Found:
    """What came of the schedules."""

    schedules: int = 0
    stale: list[object] = field(default_factory=list)
    loads: int = 0
    refused: int = 0
    l1_hits: int = 0
    seed: int = 0
    took_seconds: float = 0.0


def run(count: int, seed: int | None = None, *, processes: int = PROCESSES) -> Found:
    """Run so many schedules over the Redis and the database that the environment names.

    The seed is in what it returns; with the same one the same is tried again, as far as several
    processes ever do the same twice.
    """
    from django.conf import settings

    from tests.children import Child, children

    found = Found(seed=secrets.randbelow(1 << 32) if seed is None else seed)
    code = WORKER.replace("sys.argv", "ARGUMENTS")
    with children(0, "") as started:
        for number in range(processes):
            given = ["", str(number), str(processes), str(KEYS), settings.REDIS_URL]
            # A busy machine is no outage: that would leave leases that nobody holds.
            code_for = f"ARGUMENTS = {given!r}\n{code}"
            started.append(Child(code_for, REDIS_TIMEOUT_SECONDS="5"))
        for child in started:
            child.read_until("ready", 60)
        began = time.monotonic()
        while found.schedules < count:
            part = min(BATCH, count - found.schedules)
            for child in started:
                assert child.process.stdin is not None
                child.process.stdin.write(json.dumps([found.schedules, part, found.seed]) + "\n")
                child.process.stdin.flush()
            lines = [child.read(120) for child in started]
            assert all(lines), "a process has ended"
            answers = [json.loads(line or "") for line in lines]
            found.stale += [one for answer in answers for one in answer[0]]
            found.loads, found.refused, found.l1_hits = (
                sum(answer[at] for answer in answers) for at in (1, 2, 3)
            )
            found.schedules += part
        found.took_seconds = time.monotonic() - began
    return found


def main() -> int:
    """Run them by themselves, and say what was found; 1 where anything was stale."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--seed", type=int)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        server = embedded_redis.configure(Path(name) / "redis", embedded_redis.find_server())
        os.environ |= {
            "TUNEUP_VAR_DIR": name,
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "REDIS_URL": server.url,
        }
        os.environ.pop("DATABASE_URL", None)
        command = [*server.command, "--appendonly", "no"]
        process = guard.spawn(command, output=subprocess.DEVNULL)
        try:
            while not embedded_redis.answers(server.url):
                time.sleep(0.05)
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, check=True)
            import django

            django.setup()
            found = run(given.count, given.seed)
        finally:
            guard.sweep(process)
    sys.stdout.write(f"{found}\n")
    return 1 if found.stale else 0


if __name__ == "__main__":
    sys.exit(main())
