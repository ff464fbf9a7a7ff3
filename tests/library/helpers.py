"""What a project keeps in its utils, services and serializers."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from tests.library.models import Author, Book, Order, Publisher, Review, Setting, Tag


def byline(book: Book) -> str:
    return f"{book.title} by {book.author.name}"  # <- here


def recent_books(limit: int = 100) -> QuerySet[Book]:
    return Book.objects.order_by("-pk")[:limit]  # <- queryset


def tag_names(book: Book) -> list[str]:
    return sorted(tag.name for tag in book.tags.all())  # <- here


def publisher_by_id(publisher_id: int) -> Publisher:
    return Publisher.objects.get(pk=publisher_id)  # <- here


def setting(key: str) -> str:
    return Setting.objects.get(key=key).value  # <- here


def ensure_tag(name: str) -> Tag:
    tag, _ = Tag.objects.get_or_create(name=name)  # <- here
    return tag


def scalar(sql: str, *params: Any) -> Any:
    """Return the first column of the first row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)  # <- here
        return cursor.fetchone()[0]


class Serializer:
    """A small one of the usual kind: fields by name, methods as get_<field>."""

    fields: tuple[str, ...] = ()

    def to_dict(self, instance: Any) -> dict[str, Any]:
        return {name: self.value(instance, name) for name in self.fields}

    def value(self, instance: Any, name: str) -> Any:
        method = getattr(self, f"get_{name}", None)
        return method(instance) if method else getattr(instance, name)

    def many(self, instances: Iterable[Any]) -> list[dict[str, Any]]:
        return [self.to_dict(instance) for instance in instances]


class AuthorSerializer(Serializer):
    fields = ("name", "books")

    def get_books(self, author: Author) -> list[str]:
        return sorted(book.title for book in author.books.all())  # <- here


class ReviewSerializer(Serializer):
    fields = ("stars", "reviewer")

    def get_reviewer(self, review: Review) -> dict[str, str]:
        reviewer = review.reviewer  # <- here
        return {"name": reviewer.name, "email": reviewer.email}


class OrderSerializer(Serializer):
    fields = ("number", "lines")

    def get_lines(self, order: Order) -> list[dict[str, Any]]:
        return OrderLineSerializer().many(order.lines.all())  # <- queryset


class OrderLineSerializer(Serializer):
    fields = ("amount", "title")

    def get_title(self, line: Any) -> str:
        return str(line.book.title)  # <- here


def retrying(function: Callable[..., Any], times: int = 3) -> Any:
    """Call until something comes back."""
    for _ in range(times):
        if (result := function()) is not None:
            return result
    return None
