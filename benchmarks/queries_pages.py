"""The pages that the overhead is measured on: ordinary reads of some twenty rows each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

READERS, REVIEWS_EACH = 50, 20
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


class Pages:
    """Reads in batches, each on a line of its own, so that all of them are in order."""

    def __init__(self) -> None:
        from tests.library.models import Book, Publisher, Reader, Review, Shop, Tag

        books, reviews = Book.objects, Review.objects
        self.keys = list(reviews.order_by("pk").values_list("pk", flat=True))
        self.reads: list[Callable[[list[int]], list[Any]]] = [
            lambda keys: list(reviews.filter(pk__in=keys)),
            lambda keys: list(reviews.filter(pk__in=keys, stars__gt=0).order_by("-stars")),
            lambda keys: list(reviews.filter(pk__in=keys).values_list("stars", "reviewer__name")),
            lambda keys: [
                (review.stars, review.reviewer.name)
                for review in reviews.filter(pk__in=keys).select_related("reviewer")
            ],
            lambda keys: list(books.filter(reviews__in=keys).values("pk", "title", "pages")),
            lambda keys: list(books.filter(reviews__in=keys).only("title", "author")),
            lambda keys: list(Publisher.objects.exclude(pk__in=keys).order_by("name")[:20]),
            lambda keys: list(Tag.objects.exclude(pk__in=keys).order_by("-name")[:20]),
            lambda keys: list(Shop.objects.exclude(pk__in=keys).defer("address")[:20]),
            lambda keys: list(Reader.objects.filter(reviews__in=keys).distinct()),
        ]

    def clean(self, request: HttpRequest, count: int) -> HttpResponse:
        rows = 0
        for number in range(count):
            start = 20 * number % len(self.keys)
            rows += len(self.reads[number % len(self.reads)](self.keys[start : start + 20]))
        return HttpResponse(str(rows))

    def loop(self, request: HttpRequest) -> HttpResponse:
        from tests.library.models import Reader

        stars = []
        for reader in Reader.objects.order_by("pk"):
            stars.append([review.stars for review in reader.reviews.all()])
        return HttpResponse(str(sum(map(len, stars))))


urlpatterns: list[Any] = []


@contextmanager
def filled() -> Iterator[None]:
    """Make the rows, for as long as needed, and the site with its middleware."""
    from django.test import override_settings

    from tests.library.filling import fill
    from tests.library.models import Book, Reader, Review
    from tests.queries.harness import empty

    fill(READERS)
    books, readers = Book.objects.order_by("pk")[:REVIEWS_EACH], Reader.objects.order_by("pk")
    Review.objects.all().delete()
    Review.objects.bulk_create(
        Review(book=book, reviewer=reader, stars=1 + book.pk % 5, body="Well.")
        for reader in readers
        for book in books
    )
    pages = Pages()
    urlpatterns[:] = [path("clean/<int:count>/", pages.clean), path("loop/", pages.loop)]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield
    empty()
