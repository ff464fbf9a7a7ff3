"""Self-checks against the running system."""

import threading
from time import monotonic

from django.db import connection

from optimizer.control.redis import call
from optimizer.control.registry import Check
from optimizer.pools.engine.leaks import Sampler
from optimizer.pools.engine.semaphore import AcquireTimeout, FairSemaphore
from optimizer.pools.services import reporter
from optimizer.pools.services.servers import server_of


def waits_in_turn() -> str:
    """Two who wait for one place have it in the order in which they came."""
    places, order = FairSemaphore(1), []
    places.acquire(1.0)

    def wait(name: str) -> None:
        places.acquire(5.0)
        order.append(name)
        places.release()

    threads = []
    for number, name in enumerate(("first", "second"), 1):
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        until = monotonic() + 5
        while places.waiting < number and monotonic() < until:
            threading.Event().wait(0.001)
    places.release()
    for thread in threads:
        thread.join(5)
    if order != ["first", "second"]:
        raise AssertionError(f"they had it in the order {order}")
    return "first come, first served"


def grows_and_shrinks() -> str:
    """A limit that changes holds at once."""
    places = FairSemaphore(1)
    places.acquire(0.1)
    places.resize(2)
    places.acquire(0.1)
    places.resize(1)
    places.release()
    try:
        places.acquire(0.01)
    except AcquireTimeout:
        return "1 → 2 → 1"
    raise AssertionError("a place was given that the limit no longer has")


def reuses_a_connection() -> str:
    """A second query needs no new connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    before = _created()
    for _ in range(3):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    if (made := _created() - before) > 0:
        raise AssertionError(f"three queries opened {made} connections")
    return f"{connection.vendor}: none was opened"


def _created() -> int:
    found = reporter.reporter.report().pools
    return sum(one.totals.created for one in found if one.alias == connection.alias)


def fits_its_server() -> str:
    """The database takes as many connections as its pool may open here."""
    found = {one.alias: one for one in reporter.reporter.report().pools}
    mine, server = found.get(connection.alias), server_of(connection.alias, connection.vendor)
    if mine is None or server is None:
        return f"{connection.vendor} has no limit of its own"
    if mine.max_size > server.room:
        raise AssertionError(f"{mine.max_size} in each process, but the server takes {server.room}")
    return f"{mine.max_size} of {server.room}"


def reaches_redis_over_the_pool() -> str:
    """Redis answers over the managed pool, which counts it."""
    before = _acquired()
    call(lambda r: r.ping())
    if _acquired() <= before:
        raise AssertionError("a call was not counted by the pool")
    return "counted"


def _acquired() -> int:
    found = reporter.reporter.report().pools
    return sum(one.totals.acquired for one in found if one.kind == "redis")


def samples_stacks() -> str:
    """Of one check-out in three the stack is kept."""
    sampler = Sampler(3)
    kept = [sampler.due() for _ in range(9)]
    if kept != [False, False, True] * 3:
        raise AssertionError(f"of nine check-outs {kept}")
    return "3 of 9"


CHECKS = (
    Check("who waits for a connection has it in turn", waits_in_turn),
    Check("a limit holds at once", grows_and_shrinks),
    Check("a connection is used again", reuses_a_connection),
    Check("a pool fits its server", fits_its_server),
    Check("Redis is reached over the pool", reaches_redis_over_the_pool),
    Check("of some check-outs the stack is kept", samples_stacks),
)
