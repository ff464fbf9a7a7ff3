"""How large a pool should be, from what was measured in the last minute."""

import os
from urllib.parse import urlsplit

from django.conf import settings

from optimizer.pools.engine.advice import Advice, Observed, advise
from optimizer.pools.selectors.overview import Pool

_LOCAL = ("", "localhost", "127.0.0.1", "::1")


def advice_of(pool: Pool) -> Advice:
    """Return the sizes for a pool, by its busiest process."""
    busiest = max(
        (one.pool for one in pool.processes),
        key=lambda one: one.recent.acquired / max(1.0, one.recent_seconds),
        default=None,
    )
    if busiest is None:
        observed = Observed(0.0, 0.0, 0.0, _threads(), 1)
    else:
        recent, seconds = busiest.recent, max(1.0, busiest.recent_seconds)
        observed = Observed(
            recent.acquired / seconds,
            recent.mean_use_seconds,
            recent.wait_percentile(0.99),
            _threads(),
            busiest.gauges.held_at_once,
        )
    return advise(
        observed,
        now=pool.limits.max_size,
        processes=max(1, len(pool.processes)),
        server_cores=_cores(pool),
        server_room=pool.server.room if pool.server else None,
    )


def _threads() -> int:
    return int(settings.WEB_THREADS)


def _cores(pool: Pool) -> int:
    """Return the cores of a database server that is on this machine; 0 where it is elsewhere."""
    host = settings.DATABASES.get(pool.alias, {}).get("HOST", None)
    if pool.kind != "postgresql" or host is None:
        return 0
    here = host.startswith("/") or (urlsplit(f"//{host}").hostname or "") in _LOCAL
    return (os.cpu_count() or 0) if here else 0
