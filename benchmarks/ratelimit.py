"""The rate limiter against its peers: how exact under concurrency, and how fast.

Run `python -m benchmarks.ratelimit [--json FILE]`; it makes its own database and Redis. Where there
are two cores or more, Redis has the first and the clients have the others.
"""

import os
import signal
from typing import Any

import redis

from benchmarks.place import own_place
from benchmarks.ratelimit_accuracy import accuracy
from benchmarks.ratelimit_clients import Clients
from benchmarks.ratelimit_contenders import PEERS
from benchmarks.ratelimit_http import http_rows
from benchmarks.table import Row, arguments, show

SECONDS, ROUNDS = 0.4, 3
DENIED: dict[str, Any] = {"capacity": 1, "rate": 1 / 86_400}
ALLOWED: dict[str, Any] = {"capacity": 1_000_000, "rate": 1_000_000.0}


def main() -> None:
    """Measure everything and print the tables."""
    options = arguments(__doc__ or "")
    with own_place():
        rows = [*accuracy(), *speed(), *http_rows()]
    show("Rate limiter", rows, options.json)


def set_tier(capacity: int, rate: float, *, local: bool) -> None:
    """Give everybody a bucket; `local` switches deny cache and leases on."""
    from ratelimit.models import RatelimitSettings, Tier

    whole = rate >= 1 and float(rate).is_integer()
    tier, _ = Tier.objects.update_or_create(
        name="bench",
        defaults={
            "capacity": capacity,
            "refill_tokens": int(rate) if whole else max(1, round(rate * 2)),
            "refill_period_seconds": 1 if whole else 2 if rate >= 0.5 else 86_400,
            "lease_percent": 25 if local else 0,
        },
    )
    RatelimitSettings(default_tier=tier, deny_cache_seconds=0.1 if local else 0.0).save()


def best(what: str, contenders: list[str], processes: int, **job: object) -> dict[str, dict]:
    """Run the contenders in turn, several rounds; return each one's best."""
    found: dict[str, dict] = {}
    with Clients(what, contenders, processes, **job) as clients:
        for _ in range(ROUNDS):
            for name in contenders:
                results = clients.run(name, SECONDS)
                rate = sum(one["rate"] for one in results)
                cpu = sum(one.get("cpu_us", 0) for one in results) / len(results)
                if rate > found.get(name, {"rate": 0})["rate"]:
                    found[name] = {"rate": rate, "cpu_us": cpu}
    return found


def against_peers(title: str, told: dict[str, dict], target: str) -> list[Row]:
    """Return the rows of one speed table: decisions a second, as ratios to the best peer."""
    reference = max(one["rate"] for name, one in told.items() if name != "tuneup")
    return [
        Row(
            f"{title}: {name}",
            one["rate"],
            "/s",
            one["rate"] / reference,
            target if name == "tuneup" else "",
        )
        for name, one in told.items()
    ]


def speed() -> list[Row]:
    """Return the rows of the speed tables."""
    everybody, rows = ["tuneup", *PEERS], []
    for processes, denied, allowed, keys in (
        (1, "at least 100 x", "at least 10 x", "at least 1.2 x"),
        (4, "", "at least 15 x", "at least 2.5 x"),
    ):
        suffix = f"{processes} process{'es' if processes > 1 else ''}"
        set_tier(**DENIED, local=True)
        told = best("counted", everybody, processes, keys=1, prefix="denied", **DENIED)
        rows += against_peers(f"hot denied key, {suffix}", told, denied)
        set_tier(**ALLOWED, local=True)
        told = best("counted", everybody, processes, keys=1, prefix="allowed", **ALLOWED)
        rows += against_peers(f"hot allowed key, {suffix}", told, allowed)
        set_tier(**ALLOWED, local=False)
        told = best("counted", everybody, processes, keys=10_000, prefix="keys", **ALLOWED)
        rows += against_peers(f"10,000 keys, {suffix}", told, keys)
        if processes == 1:
            peers = {name: one for name, one in told.items() if name != "tuneup"}
            reference = min(one["cpu_us"] for one in peers.values())
            for name, one in told.items():
                target = "at most 0.45 x" if name == "tuneup" else ""
                ratio = one["cpu_us"] / reference
                rows.append(Row(f"client CPU: {name}", one["cpu_us"], "us", ratio, target))
    told = best("many", ["tuneup", "one by one"], 1, keys=16, prefix="many", **ALLOWED)
    sixteen, single = told["tuneup"]["rate"], told["one by one"]["rate"]
    rows.append(Row("16 keys in one call", sixteen, "/s", sixteen / single, "at least 8 x single"))
    four = ["tuneup", *(one for one in PEERS if one != "django-ratelimit")]
    told = best("together", four, 1, prefix="four", **ALLOWED)
    rows += against_peers("four limits", told, "at least 2.5 x")
    told = best("tasks", ["tuneup", "redis.asyncio"], 1, prefix="tasks", **ALLOWED)
    rows += against_peers("16 tasks of asyncio", told, "at least 5 x")
    return [*rows, *while_away()]


def while_away() -> list[Row]:
    """Return the rows of decisions while Redis hangs, each of which the breaker answers."""
    pid = redis.Redis.from_url(os.environ["REDIS_URL"]).info("server")["process_id"]
    with Clients("away", ["tuneup"], 1) as clients:
        os.kill(pid, signal.SIGSTOP)
        try:
            (told,) = clients.run("tuneup", 5.0)
        finally:
            os.kill(pid, signal.SIGCONT)
    title = f"breaker open: {told['calls']} decisions"
    return [
        Row(f"{title}, 99.99 %", told["usual"] * 1000, "ms", None, "at most 1 ms"),
        Row(f"{title}, slowest", told["slowest"] * 1000, "ms"),
    ]


if __name__ == "__main__":
    main()
