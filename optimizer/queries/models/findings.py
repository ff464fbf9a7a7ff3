"""What is to mend: findings of repeated, slow and useless queries, and advice on indexes."""

from django.db import models


class State(models.TextChoices):
    """What people have made of it."""

    OPEN = "open", "Open"
    IGNORED = "ignored", "Ignored"
    FIXED = "fixed", "Fixed"


class Finding(models.Model):
    """A query at its place that does harm, and how to mend it.

    One that was declared fixed and comes back is open again, and counts how often that was.
    """

    class Kind(models.TextChoices):
        N_PLUS_ONE = "n_plus_one", "N+1"
        WRITE_N_PLUS_ONE = "write_n_plus_one", "Writes one by one"
        DUPLICATE = "duplicate", "Asked again"
        UNUSED_EAGER_LOAD = "unused_eager_load", "Loaded in vain"
        SLOW = "slow", "Slow"
        REVIEW = "review", "To review"

    kind = models.CharField(max_length=20, choices=Kind)
    fingerprint = models.CharField(max_length=16)
    location = models.CharField(max_length=300)
    digest = models.CharField(max_length=32, unique=True, editable=False)  # of the three above
    state = models.CharField(max_length=8, choices=State, default=State.OPEN, db_index=True)
    suggestion = models.TextField(blank=True)
    queryset_location = models.CharField(max_length=300, blank=True)
    sql = models.TextField()
    stack = models.JSONField(default=list)  # path:line function, the innermost first
    units = models.JSONField(default=list)  # names, the latest first
    model_state = models.CharField(max_length=16, blank=True)  # that the analysis is true for
    count = models.BigIntegerField(default=0)  # the most in one unit
    hits = models.BigIntegerField(default=0)  # units
    queries = models.BigIntegerField(default=0)
    lost_seconds = models.FloatField(default=0.0, db_index=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)
    fixed_at = models.DateTimeField(null=True, blank=True)
    reopened = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-lost_seconds", "pk")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.location}"


class IndexAdvice(models.Model):
    """An index that a worker found worth making, with what it asked the database."""

    fingerprint = models.CharField(max_length=16, db_index=True)
    alias = models.CharField(max_length=64, default="default")
    table = models.CharField(max_length=200)
    columns = models.JSONField(default=list)
    digest = models.CharField(max_length=32, unique=True, editable=False)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN, db_index=True)
    statement = models.TextField()
    meta_line = models.TextField(blank=True)
    model_label = models.CharField(max_length=200, blank=True)
    verified = models.CharField(max_length=40, blank=True)  # how; "" is not
    reason = models.TextField()
    cost_before = models.FloatField(null=True, blank=True)
    cost_after = models.FloatField(null=True, blank=True)
    plan_before = models.TextField(blank=True)
    plan_after = models.TextField(blank=True)
    drops = models.JSONField(default=list)  # indexes that it makes superfluous
    seconds_per_day = models.FloatField(default=0.0)  # that the query takes
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ("-seconds_per_day", "pk")
        verbose_name_plural = "index advice"

    def __str__(self) -> str:
        return f"{self.table} ({', '.join(self.columns)})"
