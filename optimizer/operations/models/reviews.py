"""Performance reviews, as they were when they were made."""

from django.db import models


class PerformanceReview(models.Model):
    """What changed in a span of time, what has become worse, and what to do; never changed.

    `content` is `services.review_content.Review`. One that the schedule asked for has its moment in
    `due_at`, which is there once.
    """

    begin = models.DateTimeField()
    end = models.DateTimeField(db_index=True)
    due_at = models.DateTimeField(null=True, unique=True)
    asked_by = models.CharField(max_length=150, blank=True)
    worse = models.PositiveIntegerField(default=0)
    better = models.PositiveIntegerField(default=0)
    recommended = models.PositiveIntegerField(default=0)
    content = models.JSONField()

    class Meta:
        ordering = ("-end", "-pk")

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d} to {self.end:%Y-%m-%d}"
