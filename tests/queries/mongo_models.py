"""Models that Django's backend for MongoDB keeps; imported only where that database is set up."""

from typing import Any, ClassVar

from django.db import models
from django_mongodb_backend.fields import ObjectIdAutoField


class Writer(models.Model):
    id = ObjectIdAutoField(primary_key=True)
    name = models.TextField()

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        app_label = "mongo_library"

    def __str__(self) -> str:
        return self.name


class Poem(models.Model):
    id = ObjectIdAutoField(primary_key=True)
    title = models.TextField()
    writer = models.ForeignKey(Writer, models.CASCADE, related_name="poems")

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        app_label = "mongo_library"

    def __str__(self) -> str:
        return self.title


def fill(count: int) -> None:
    """Make poems, each by a writer of its own."""
    Poem.objects.all().delete()
    Writer.objects.all().delete()
    writers = Writer.objects.bulk_create([Writer(name=f"writer {n}") for n in range(count)])
    Poem.objects.bulk_create([Poem(title=f"poem {one}", writer=one) for one in writers])


def names() -> list[str]:
    return [poem.writer.name for poem in Poem.objects.order_by("title")]  # <- here


def names_joined() -> list[str]:
    return [poem.writer.name for poem in Poem.objects.select_related("writer").order_by("title")]


def titles_only() -> list[str]:
    poems = Poem.objects.select_related("writer")  # <- here
    return [poem.title for poem in poems]


def saved_one_by_one() -> None:
    for poem in Poem.objects.all():
        poem.title += "!"
        poem.save()  # <- here
