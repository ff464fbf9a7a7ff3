"""The calendar periods of quotas: days and months as a time zone has them."""

from datetime import datetime, time, timedelta

PERIODS = ("day", "month")


def period_ends(now: datetime, period: str) -> tuple[float, float, float]:
    """Return the ends of the last, this and the next period, in microseconds since the epoch.

    `now` carries the time zone; `period` is "day" or "month". Days that a change of the clocks
    makes shorter or longer are as long as they are.
    """
    day = now.date()
    if period == "month":
        start = day.replace(day=1)
        second = (start + timedelta(days=32)).replace(day=1)
        third = (second + timedelta(days=32)).replace(day=1)
    else:
        start, second, third = day, day + timedelta(days=1), day + timedelta(days=2)
    midnights = [datetime.combine(one, time(), now.tzinfo) for one in (start, second, third)]
    first, this, following = (float(round(one.timestamp() * 1_000_000)) for one in midnights)
    return first, this, following
