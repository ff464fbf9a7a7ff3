"""The figures of every component over time."""

from django.db import models


class Sample(models.Model):
    """A figure's value in a minute, or its mean, least and most in an hour (both in UTC).

    A minute or an hour without a row is a gap: nobody could tell the figure then.
    """

    class Span(models.IntegerChoices):
        MINUTE = 60, "minute"
        HOUR = 3600, "hour"

    span_seconds = models.PositiveSmallIntegerField(choices=Span)
    figure = models.CharField(max_length=81)  # component.figure
    at = models.DateTimeField()  # when the span begins
    value = models.FloatField()
    least = models.FloatField()
    most = models.FloatField()
    count = models.PositiveSmallIntegerField(default=1)  # minutes that were told

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["span_seconds", "at", "figure"], name="operations_sample_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.figure} at {self.at:%Y-%m-%d %H:%M}"
