"""One client process: sets up, says "ready", waits for "go", decides, and reports in JSON.

Run by benchmarks.ratelimit with the job as its argument.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import django

Loop = Callable[[float, str], dict[str, Any]]


def main() -> None:
    """Do one job."""
    job = json.loads(sys.argv[1])
    if (cores := len(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, set(range(1, cores)))
    if job.get("clock_off"):
        _shift_the_clock(job["clock_off"])
    django.setup()
    if job["contender"] == "tuneup" and job.get("follow", True):
        from optimizer.control import watcher

        watcher.start("command")
    loop = JOBS[job["what"]](job)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, _, key = line.strip().partition(" ")
        print(json.dumps(loop(float(seconds), key)), flush=True)


def _shift_the_clock(seconds: float) -> None:
    """Let this process's wall clock be off, as a host's may be."""
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: clock_ns() + int(seconds * 1e9)


def _contender(job: dict[str, Any]) -> Callable[[str], bool]:
    from benchmarks.ratelimit_contenders import CONTENDERS

    return CONTENDERS[job["contender"]](job["capacity"], job["rate"])


def timed(job: dict[str, Any]) -> Loop:
    """Decide on one key, and keep the time of each admitted call."""
    decide = _contender(job)
    from ratelimit.live import ratelimit

    def loop(seconds: float, key: str) -> dict[str, Any]:
        admitted, calls, obeyed_at = [], 0, None
        settings = ratelimit.current()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            changed = ratelimit.current() is not settings
            before = time.monotonic_ns()
            if decide(key):
                admitted.append((before, time.monotonic_ns()))
            if obeyed_at is None and changed:  # the bucket has heard of the change by now
                obeyed_at = time.monotonic()
            calls += 1
        return {"admitted": admitted, "calls": calls, "obeyed_at": obeyed_at}

    return loop


def counted(job: dict[str, Any]) -> Loop:
    """Decide on the keys in turn as often as can be."""
    decide, keys = _contender(job), job["keys"]
    names = [f"{job['prefix']} {job['contender']} {number}" for number in range(keys)]
    for name in names[: min(keys, 200)]:
        decide(name)

    def loop(seconds: float, key: str) -> dict[str, Any]:
        calls = allowed = at = 0
        cpu = time.process_time()
        started = time.monotonic()
        until = started + seconds
        while time.monotonic() < until:
            for name in names[at : at + 20] if keys > 1 else names * 20:
                allowed += decide(name)
            calls += 20
            at = (at + 20) % keys
        took = time.monotonic() - started
        return {
            "rate": calls / took,
            "allowed": allowed,
            "cpu_us": (time.process_time() - cpu) / calls * 1e6,
        }

    return loop


def many(job: dict[str, Any]) -> Loop:
    """Sixteen keys in one call, or one after the other."""
    from ratelimit import limiter

    names = [f"{job['prefix']} {job['contender']} {number}" for number in range(job["keys"])]
    charges = [(name, 1) for name in names]

    def one_by_one() -> None:
        for name in names:
            limiter.check(name)

    def in_one_call() -> None:
        limiter.check_many(charges)

    once = one_by_one if job["contender"] == "one by one" else in_one_call

    def loop(seconds: float, key: str) -> dict[str, Any]:
        calls, started = 0, time.monotonic()
        while time.monotonic() < started + seconds:
            once()
            calls += 1
        return {"rate": calls * len(charges) / (time.monotonic() - started)}

    return loop


def away(job: dict[str, Any]) -> Loop:
    """Decide while Redis does not answer; keep what each call took once the breaker was open."""
    from optimizer.control.redis import breaker
    from ratelimit import limiter

    def loop(seconds: float, key: str) -> dict[str, Any]:
        took: list[float] = []
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            was_open, before = breaker.is_open, time.monotonic()
            limiter.check(f"away {len(took) % 1000}")
            if was_open:
                took.append(time.monotonic() - before)
        took.sort()
        usual = took[int(len(took) * 0.9999)]
        return {"calls": len(took), "usual": usual, "slowest": took[-1]}

    return loop


def together(job: dict[str, Any]) -> Loop:
    """Four limits: all or nothing in one call, or a peer's four calls."""
    names = [f"{job['prefix']} {job['contender']} {number}" for number in range(4)]
    if job["contender"] == "tuneup":
        from ratelimit import limiter

        charges = [(name, 1) for name in names]

        def once() -> None:
            limiter.check_all(charges)
    else:
        decide = _contender(job)

        def once() -> None:
            for name in names:
                decide(name)

    def loop(seconds: float, key: str) -> dict[str, Any]:
        once()
        calls, started = 0, time.monotonic()
        while time.monotonic() < started + seconds:
            once()
            calls += 1
        return {"rate": calls / (time.monotonic() - started)}

    return loop


def tasks(job: dict[str, Any]) -> Loop:
    """Sixteen tasks of asyncio on distinct keys: the limiter, or its script by redis.asyncio."""
    names = [f"{job['prefix']} {job['contender']} {number}" for number in range(2000)]

    async def limited() -> Callable[[str], Any]:
        from ratelimit import limiter

        return limiter.acheck

    async def scripted() -> Callable[[str], Any]:
        from redis.asyncio import Redis

        from ratelimit.engine import Limit
        from ratelimit.engine.buckets import DECIDE, Ask, key_of, question

        redis = Redis.from_url(os.environ["REDIS_URL"])
        digest = await redis.script_load(DECIDE)
        limit = Limit("peer", job["capacity"], job["capacity"], 1)

        async def check(name: str) -> Any:
            keys, arguments = question(((Ask(key_of(name), limit),),), spend=True)
            return await redis.evalsha(digest, 1, *keys, *arguments)

        return check

    def loop(seconds: float, key: str) -> dict[str, Any]:
        async def run() -> float:
            check = await (limited() if job["contender"] == "tuneup" else scripted())
            await check(names[0])
            calls, started = 0, time.monotonic()

            async def task(offset: int) -> None:
                nonlocal calls
                at = offset
                while time.monotonic() < started + seconds:
                    await check(names[at % len(names)])
                    at += 16
                    calls += 1

            await asyncio.gather(*(task(offset) for offset in range(16)))
            return calls / (time.monotonic() - started)

        return {"rate": asyncio.run(run())}

    return loop


JOBS: dict[str, Callable[[dict[str, Any]], Loop]] = {
    "timed": timed,
    "counted": counted,
    "many": many,
    "away": away,
    "together": together,
    "tasks": tasks,
}

if __name__ == "__main__":
    main()
