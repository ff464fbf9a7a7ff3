"""The named choices of a job."""

from django.db import models


class Priority(models.TextChoices):
    """The workers' queues, in the order they are emptied."""

    HIGH = "high", "high: before all else"
    NORMAL = "normal", "normal: with the other tasks"
    LOW = "low", "low: when nothing else is to do"


class Sink(models.TextChoices):
    """Where the items of a job go."""

    MODEL = "model", "a Django model: exactly once"
    HANDLER = "handler", "a Python function: as it was registered"
    MONGODB = "mongodb", "a MongoDB collection: at least once"
    HTTP = "http", "an HTTP address: at least once, with the idempotency key"


class Action(models.TextChoices):
    """What is done with them."""

    UPSERT = "upsert", "upsert: update the row, or insert it"
    INSERT = "insert", "insert: rows that are there are errors"
    UPDATE = "update", "update: rows that are not there are left out"
    DELETE = "delete", "delete"


class OnError(models.TextChoices):
    """What a poison item does to its job."""

    SKIP = "skip", "it becomes a dead letter, the job goes on"
    STOP = "stop", "it becomes a dead letter, the job stops"


class PastHighWater(models.TextChoices):
    """What happens to items that come past the high-water mark."""

    REFUSE = "refuse", "refuse them (429 over HTTP)"
    WAIT = "wait", "let submit() wait (429 over HTTP)"
    ACCEPT = "accept", "accept them all the same"


class Asked(models.TextChoices):
    """What a worker is to do with a dead letter."""

    REPLAY = "replay", "being replayed"
    DISCARD = "discard", "being discarded"


class Every(models.TextChoices):
    """How a job's schedule is given."""

    NONE = "none", "no schedule"
    INTERVAL = "interval", "every so many seconds"
    CRONTAB = "crontab", "at times, as crontab has them"


class Missed(models.TextChoices):
    """What is done about a run whose time passed while nothing could run."""

    RUN = "run", "make up for it, once"
    SKIP = "skip", "leave it out"
