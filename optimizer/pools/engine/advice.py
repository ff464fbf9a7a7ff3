"""How large a pool should be, by four ways of reckoning that do not agree.

Sources: J. D. C. Little, "A Proof for the Queuing Formula L = λW" (1961), with the square-root
staffing rule for its spread; HikariCP's wiki, "About Pool Sizing": cores × 2 + spindles of the
server, over all processes, and the floor against deadlocks, threads × (held at once − 1) + 1.
"""

import math

import msgspec


class Observed(msgspec.Struct, frozen=True):
    """What was measured of one process's pool, the busiest one."""

    arrivals_per_second: float
    hold_seconds: float
    wait_p99_seconds: float
    threads: int
    held_at_once: int


class Advice(msgspec.Struct, frozen=True):
    """Sizes in connections a process; 0 is what cannot be told yet."""

    busy: float  # connections in use on average
    little: int
    hikari: int  # a process's share of what the server has cores for
    deadlock_floor: int
    suggested: int
    because: str


def little(arrivals_per_second: float, hold_seconds: float) -> tuple[float, int]:
    """Return how many connections are busy on average, and how many to have for the spread."""
    busy = arrivals_per_second * hold_seconds
    return busy, math.ceil(busy + 2 * math.sqrt(busy)) if busy > 0 else 0


def deadlock_floor(threads: int, held_at_once: int) -> int:
    """Return with how many connections one caller can always go on."""
    return threads * (max(1, held_at_once) - 1) + 1


def advise(
    observed: Observed, *, now: int, processes: int, server_cores: int, server_room: int | None
) -> Advice:
    """Return the sizes side by side and one to take.

    `now` is the present size, `server_room` what the server can give to this pool over all
    processes, None where it is not known.
    """
    busy, by_little = little(observed.arrivals_per_second, observed.hold_seconds)
    floor = deadlock_floor(observed.threads, observed.held_at_once)
    share = math.ceil((server_cores * 2 + 1) / max(1, processes)) if server_cores else 0
    wanted, because = max(by_little, floor, 1), "what comes in, and how long it is held"
    if not by_little:
        wanted, because = max(now, floor), "nothing came lately, so it stays as it is"
    elif floor > by_little:
        because = "threads that hold several at once could block one another with fewer"
    elif observed.wait_p99_seconds > observed.hold_seconds and wanted <= now:
        # Waits that the mean does not explain: it comes in bursts.
        wanted, because = now + max(1, now // 4), "callers wait more than the mean explains"
    if server_room is not None and wanted * processes > server_room:
        wanted, because = (
            max(1, server_room // max(1, processes)),
            "the server has no more room",
        )
    return Advice(busy, by_little, share, floor, wanted, because)
