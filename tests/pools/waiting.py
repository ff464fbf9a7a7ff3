"""Wait for what happens in other threads and processes."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 60.0


def wait_until(condition: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> float:
    """Wait until it holds; return the seconds it took. Raises AssertionError."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come to hold"
        time.sleep(0.002)
    return time.monotonic() - started
