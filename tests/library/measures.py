"""Models for bulk writes: every kind of value, keys of all sorts, odd names."""

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q


class MirroredField(models.TextField):
    """Stores a text mirrored, as an encrypting field would."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return "<none>" if value is None else f"{value}"[::-1]

    def from_db_value(self, value: str, expression: object, connection: object) -> str | None:
        return None if value == "<none>" else value[::-1]


class UpperField(models.TextField):
    """Is written by an SQL expression, as a field that the database encrypts."""

    def get_placeholder(self, value: object, compiler: object, connection: object) -> str:
        return "UPPER(%s)"


class CountedField(models.CharField):
    """Makes its value when it is saved, from another field."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        return f"{model_instance.code}, {'added' if add else 'changed'}"


class Gauge(models.Model):
    code = models.CharField(max_length=12, unique=True)
    big = models.BigIntegerField(default=0)
    small = models.PositiveSmallIntegerField(default=0)
    number = models.FloatField(default=0)
    flag = models.BooleanField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    day = models.DateField(null=True)
    at = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    token = models.UUIDField(null=True)
    note = models.TextField(blank=True)
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)
    mirrored = MirroredField(null=True)

    def __str__(self) -> str:
        return self.code


class Member(models.Model):
    chat = models.BigIntegerField()
    user = models.BigIntegerField()
    topic = models.IntegerField(null=True)
    number = models.IntegerField(null=True, unique=True)
    nick = models.CharField(max_length=10)
    points = models.IntegerField(default=3)
    version = models.IntegerField(null=True)
    level = models.IntegerField(db_default=7)
    token = models.UUIDField(default=uuid.uuid4)
    created = models.DateTimeField(auto_now_add=True)
    changed = models.DateTimeField(auto_now=True)
    doubled = models.GeneratedField(
        expression=F("points") * 2, output_field=models.IntegerField(), db_persist=True
    )

    class Meta:
        unique_together = [("chat", "user")]
        constraints = [
            models.UniqueConstraint(fields=["chat", "topic"], name="one_member_a_topic"),
            models.UniqueConstraint(
                fields=["user", "topic"], condition=Q(points__gt=100), name="one_hero_a_topic"
            ),
            models.CheckConstraint(condition=Q(points__gte=0), name="points_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.chat}:{self.user}"


class LoudMember(Member):
    class Meta:
        proxy = True


class Oddity(models.Model):
    id = models.BigAutoField(primary_key=True, db_column="Ident Nr")
    order = models.CharField(max_length=9, unique=True, db_column="the order's")
    share = models.IntegerField(null=True, db_column="share in %")
    s = models.IntegerField(default=1, db_column="%s")

    class Meta:
        db_table = "Odd table"

    def __str__(self) -> str:
        return self.order


class Stamp(models.Model):
    """Fields that only Django can write, or that make their own value."""

    code = models.CharField(max_length=12, unique=True)
    text = UpperField(blank=True)

    def __str__(self) -> str:
        return self.code


class Receipt(models.Model):
    code = models.CharField(max_length=12, unique=True)
    line = CountedField(max_length=40)

    def __str__(self) -> str:
        return self.code


class Seat(models.Model):
    pk = models.CompositePrimaryKey("room", "place")
    room = models.IntegerField()
    place = models.IntegerField()
    taken_by = models.ForeignKey("library.Reader", on_delete=models.CASCADE, null=True)
    language = models.ForeignKey(
        "library.Language", on_delete=models.CASCADE, to_field="code", null=True
    )

    def __str__(self) -> str:
        return f"{self.room}/{self.place}"
