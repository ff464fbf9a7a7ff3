"""What is to be told to somebody: of an alert, or a review."""

from django.db import models
from django.utils import timezone

from optimizer.operations.models.alerts import AlertEvent
from optimizer.operations.models.reviews import PerformanceReview


class Notice(models.Model):
    """Something to tell somebody; it is tried until it arrives or is too old."""

    class Kind(models.TextChoices):
        FIRING = "firing", "firing"
        RESOLVED = "resolved", "resolved"
        REVIEW = "review", "review"

    class Channel(models.TextChoices):
        LOG = "log", "log"
        EMAIL = "email", "e-mail"
        WEBHOOK = "webhook", "webhook"

    event = models.ForeignKey(
        AlertEvent, on_delete=models.CASCADE, null=True, related_name="notices"
    )
    review = models.ForeignKey(
        PerformanceReview, on_delete=models.CASCADE, null=True, related_name="notices"
    )
    kind = models.CharField(max_length=8, choices=Kind)
    channel = models.CharField(max_length=8, choices=Channel)
    target = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    available_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("pk",)
        indexes = [
            models.Index(
                fields=["available_at"],
                condition=models.Q(delivered_at=None),
                name="operations_notice_waiting",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(event__isnull=True) ^ models.Q(review__isnull=True),
                name="operations_notice_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"
