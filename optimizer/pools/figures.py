"""The figures of connection pools that are kept each minute."""

from optimizer.control.registry import Figure, Figures
from optimizer.pools.selectors import overview


def read() -> dict[str, float]:
    """Return what the pools of all processes hold now, and what was opened in the last minute."""
    found, is_away = overview.every()
    if is_away:  # only this process's would be seen
        return {}
    recent = [one.recent for one in found]
    return {
        "connections": float(sum(one.gauges.size for one in found)),
        "connections_in_use": float(sum(one.gauges.in_use for one in found)),
        "waiting_callers": float(sum(one.gauges.waiting for one in found)),
        "connections_lost": float(sum(one.lost for one in recent)),
    }


FIGURES = Figures(
    (
        Figure("connections", "Open connections", "", "sum(tuneup_pools_connections)"),
        Figure(
            "connections_in_use",
            "Connections in use",
            "",
            'sum(tuneup_pools_connections{state="in_use"})',
        ),
        Figure(
            "waiting_callers",
            "Callers waiting",
            "callers",
            "sum(tuneup_pools_waiting)",
            better="less",
        ),
        Figure(
            "connections_lost",
            "Connections found broken",
            "a minute",
            "sum(increase(tuneup_pools_lost_total[1m])) or vector(0)",
            better="less",
        ),
    ),
    read,
)
