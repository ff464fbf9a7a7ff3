"""When a review is due, in UTC."""

from datetime import datetime, timedelta

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SPANS = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}


def last_due(every: str, weekday: str, hour: int, now: datetime) -> datetime | None:
    """Return the last time, up to now, at which one was due; None where none ever is.

    `every` is daily, weekly, monthly (on the first), or anything else for never.
    """
    if every not in SPANS:
        return None
    moment = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    if every == "weekly":
        moment -= timedelta(days=(moment.weekday() - WEEKDAYS.index(weekday)) % 7)
    elif every == "monthly":
        moment = moment.replace(day=1)
    if moment <= now:
        return moment
    if every == "monthly":
        return (moment - timedelta(days=1)).replace(day=1)
    return moment - SPANS[every]


def next_due(every: str, weekday: str, hour: int, now: datetime) -> datetime | None:
    """Return the next time at which one is due; None where none ever is."""
    last = last_due(every, weekday, hour, now)
    if last is None:
        return None
    if every == "monthly":
        return (last + timedelta(days=31)).replace(day=1)
    return last + SPANS[every]
