"""What is kept of the work: each job's counters, its runs, and call-backs to deliver."""

from django.db import models
from django.utils import timezone

from optimizer.batches.models.jobs import Job


class JobState(models.Model):
    """A job's counters; a chunk writes them in its own transaction.

    `latencies` counts chunks by the power of two of their milliseconds, `flushes` by reason.
    """

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="state"
    )
    chunk_items = models.PositiveIntegerField(default=0)  # that AIMD has found; 0: nothing yet
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    retried = models.BigIntegerField(default=0)
    discarded = models.BigIntegerField(default=0)
    replayed = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)  # rows that the sink reports as changed
    folded = models.BigIntegerField(default=0)  # items that a later one of the same row replaced
    chunks = models.BigIntegerField(default=0)
    trips = models.BigIntegerField(default=0)  # statements or requests to the sink
    payload_bytes = models.BigIntegerField(default=0)
    busy_seconds = models.FloatField(default=0.0)
    flushes = models.JSONField(default=dict)
    latencies = models.JSONField(default=dict)
    rate = models.FloatField(default=0.0)  # items a second, an exponential average
    last_chunk_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    last_error_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # of the job itself, one after the other
    wait_until = models.DateTimeField(null=True)  # after such failures
    skipped = models.BigIntegerField(default=0)  # dead letters since it was last resumed
    stopped_at = models.DateTimeField(null=True)
    stopped_because = models.CharField(max_length=300, blank=True)
    one_by_one_seconds = models.FloatField(null=True)  # an item, as the calibration found
    in_bulk_seconds = models.FloatField(null=True)
    calibrated_at = models.DateTimeField(null=True)
    wants_calibration = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"state of {self.job_id}"


class Run(models.Model):
    """One run of a job: all that waits when it begins, and what its source gives."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        ADMIN = "admin", "Admin"
        API = "api", "API"
        COMMAND = "command", "Command"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs", db_index=False)
    trigger = models.CharField(max_length=10, choices=Trigger)
    actor = models.CharField(max_length=150, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    alone = models.BooleanField(default=True)  # no other run of the job at the same time
    collected = models.BooleanField(default=False)  # all that the source gives is in the inbox
    upto_id = models.BigIntegerField(default=0)  # the last item of it
    total = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField(default=timezone.now, db_index=True)
    seen_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-started_at", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=["job"],
                condition=models.Q(state="running", alone=True),
                name="batches_run_alone",
            )
        ]
        indexes = [
            models.Index(fields=["job", "id"], name="batches_run_last"),
            models.Index(
                fields=["seen_at"],
                name="batches_run_unfinished",
                condition=models.Q(state="running"),
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"


class Callback(models.Model):
    """A message that a job has to send; it is tried until it arrives or is too old."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="callbacks")
    event = models.CharField(max_length=20)
    body = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    available_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "call-back"
        indexes = [
            # Of few among many: those that have arrived are kept for weeks.
            models.Index(
                fields=["available_at"],
                name="batches_callback_due",
                condition=models.Q(delivered_at=None),
            ),
            models.Index(
                fields=["job"],
                name="batches_callback_waiting",
                condition=models.Q(delivered_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} of {self.job_id}"
