"""What queries cost, by the hour, as a beat task gathers it from all processes."""

from django.db import models


class Statement(models.Model):
    """What a fingerprint stands for."""

    fingerprint = models.CharField(max_length=16, primary_key=True)
    text = models.TextField()  # without values
    sql = models.TextField()  # as it was sent, with placeholders: to ask for its plan
    alias = models.CharField(max_length=64, default="default")
    verb = models.CharField(max_length=8)
    tables = models.JSONField(default=list)
    locking = models.BooleanField(default=False)
    volatile = models.BooleanField(default=False)
    after_own_write = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)
    explained_at = models.DateTimeField(null=True, blank=True)
    explain_note = models.CharField(max_length=300, blank=True)  # why there is no advice

    def __str__(self) -> str:
        return self.text[:100]


class Statistic(models.Model):
    """An hour of one query at one place in one unit."""

    hour = models.DateTimeField(db_index=True)
    fingerprint = models.CharField(max_length=16, db_index=True)
    location = models.CharField(max_length=300)
    unit = models.CharField(max_length=200)
    digest = models.CharField(max_length=32, editable=False)  # of the three above
    calls = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    square_seconds = models.FloatField(default=0.0)
    max_seconds = models.FloatField(default=0.0)
    rows = models.BigIntegerField(default=0)
    repeats = models.BigIntegerField(default=0)
    n_plus_one = models.BigIntegerField(default=0)
    histogram = models.BinaryField(default=bytes)
    distinct = models.BinaryField(default=bytes)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("hour", "digest"), name="queries_statistic_once"),
        )

    def __str__(self) -> str:
        return f"{self.fingerprint} at {self.location}, {self.hour:%F %H}:00"


class TableWrites(models.Model):
    """How often a table was written in an hour."""

    hour = models.DateTimeField(db_index=True)
    table = models.CharField(max_length=200)
    calls = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("hour", "table"), name="queries_table_writes_once"),
        )

    def __str__(self) -> str:
        return f"{self.table}, {self.hour:%F %H}:00"


class Ignored(models.Model):
    """What a pattern of the ignore list has matched."""

    pattern = models.CharField(max_length=200, primary_key=True)
    hits = models.BigIntegerField(default=0)
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.pattern


class Checkpoint(models.Model):
    """How far the processes' intervals have been read; written together with what they told."""

    stream = models.CharField(max_length=32, primary_key=True)
    last_id = models.CharField(max_length=64, default="0")
    read_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.stream} up to {self.last_id}"
