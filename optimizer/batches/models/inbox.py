"""The inbox: items that were accepted and wait, their keys, and those that cannot be applied."""

from django.db import models
from django.utils import timezone

from optimizer.batches.models.choices import Asked
from optimizer.batches.models.jobs import Job

LANES = 16  # of a job: items of one ordering key share a lane, and one worker at a time has it


class Item(models.Model):
    """An item that waits. It is deleted in the transaction that applies it.

    Until `available_at` nobody takes it: it is tried again later, or a worker has it in hand.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="items", db_index=False)
    lane = models.PositiveSmallIntegerField(default=0)
    key = models.CharField(max_length=200, blank=True)
    payload = models.TextField()  # JSON
    attempts = models.PositiveSmallIntegerField(default=0)
    available_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["job", "available_at", "id"], name="batches_item_turn")]

    def __str__(self) -> str:
        return f"item {self.pk}"


class AcceptedKey(models.Model):
    """An idempotency key that was accepted, also long after its item is applied."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=200)
    accepted_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="batches_key_once")]

    def __str__(self) -> str:
        return self.key


class Lane(models.Model):
    """A share of an ordered job's keys; who locks the row, or leases it, applies its items."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False)
    number = models.PositiveSmallIntegerField()
    available_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="batches_lane_once")]

    def __str__(self) -> str:
        return f"lane {self.number}"


class DeadLetter(models.Model):
    """An item that could not be applied, with the error; it can be edited and replayed.

    `asked` says what a worker is to do with it, where that was asked for very many at once.
    """

    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="dead_letters", db_index=False
    )
    item_id = models.BigIntegerField()
    lane = models.PositiveSmallIntegerField(default=0)
    key = models.CharField("idempotency key", max_length=200, blank=True)
    payload = models.TextField()
    error_type = models.CharField(max_length=100, db_index=True)
    error = models.CharField(max_length=1000)
    attempts = models.PositiveSmallIntegerField(default=1)
    created_at = models.DateTimeField("sent at")
    failed_at = models.DateTimeField(default=timezone.now, db_index=True)
    asked = models.CharField(max_length=10, blank=True, choices=Asked)

    class Meta:
        ordering = ("-failed_at", "-pk")
        indexes = [
            models.Index(fields=["job", "failed_at", "id"], name="batches_letter_page"),
            models.Index(fields=["id"], name="batches_letter_asked", condition=~models.Q(asked="")),
        ]

    def __str__(self) -> str:
        return f"item {self.item_id}: {self.error_type}"
