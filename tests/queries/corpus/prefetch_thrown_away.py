"""A prefetch is there, and what follows does not use it."""

from typing import Any

from django.db.models import Avg, Prefetch, prefetch_related_objects

from tests.library.models import Author, Book, Note, Review, Tag
from tests.queries.case import (
    GROUPED,
    UNUSED,
    Fix,
    annotated,
    fixes,
    narrowed,
    prefetch,
    read_whole,
)

# The prefetch that nobody reads may be told as well.
MORE: dict[str, Any] = {"accepted": frozenset({UNUSED})}


def filtered():
    rows = []
    for author in Author.objects.prefetch_related("books").order_by("pk"):  # <- queryset
        for book in author.books.filter(pages__lt=150):  # <- here
            rows.append(book.title)
    return sorted(rows)


@fixes(filtered, narrowed("books"), **MORE)
def filtered_fixed():
    thin = Prefetch("books", queryset=Book.objects.filter(pages__lt=150), to_attr="thin")
    return sorted(b.title for a in Author.objects.prefetch_related(thin) for b in a.thin)


def ordered():
    out = {}
    for book in Book.objects.prefetch_related("reviews"):  # <- queryset
        out[book.title] = [review.stars for review in book.reviews.order_by("-stars")]  # <- here
    return out


@fixes(ordered, narrowed("reviews"), **MORE)
def ordered_fixed():
    best = Prefetch("reviews", queryset=Review.objects.order_by("-stars"))
    books = Book.objects.prefetch_related(best)
    return {book.title: [review.stars for review in book.reviews.all()] for book in books}


def first():
    authors = Author.objects.prefetch_related("books").order_by("pk")  # <- queryset
    return [str(author.books.first()) for author in authors]  # <- here


@fixes(first, narrowed("books"), annotated("Subquery"), read_whole("books", True), **MORE)
def first_fixed():
    authors = Author.objects.prefetch_related("books").order_by("pk")
    return [str(min(author.books.all(), key=lambda b: b.pk)) for author in authors]


def last():
    titles = []
    for tag in Tag.objects.prefetch_related("books").order_by("pk"):  # <- queryset
        book = tag.books.last()  # <- here
        titles.append(book and book.title)
    return titles


@fixes(last, narrowed("books"), annotated("Subquery"), read_whole("books", True), **MORE)
def last_fixed():
    titles = []
    for tag in Tag.objects.prefetch_related("books").order_by("pk"):
        book = max(tag.books.all(), key=lambda b: b.pk, default=None)
        titles.append(book and book.title)
    return titles


def values():
    def names(book):
        return sorted(book.tags.values_list("name", flat=True))  # <- here

    return [names(b) for b in Book.objects.prefetch_related("tags").order_by("pk")]  # <- queryset


@fixes(values, narrowed("tags"), read_whole("tags", True), **MORE)
def values_fixed():
    books = Book.objects.prefetch_related("tags").order_by("pk")
    return [sorted(tag.name for tag in book.tags.all()) for book in books]


def aggregated():
    means = []
    for book in Book.objects.order_by("pk").prefetch_related("reviews"):  # <- queryset
        means.append(book.reviews.aggregate(a=Avg("stars"))["a"] or 0)  # <- here
    return means


@fixes(aggregated, annotated("Avg", "reviews"), GROUPED, **MORE)
def aggregated_fixed():
    books = Book.objects.order_by("pk").annotate(a=Avg("reviews__stars"))
    return [book.a or 0 for book in books]


def excluded():
    kept = 0
    for book in Book.objects.prefetch_related("notes", "tags"):  # <- queryset
        kept += len(book.notes.exclude(text="")) + len(book.tags.all())  # <- here
    return kept


@fixes(excluded, narrowed("notes"), **MORE)
def excluded_fixed():
    notes = Prefetch("notes", queryset=Note.objects.exclude(text=""))
    books = Book.objects.prefetch_related(notes, "tags")
    return sum(len(book.notes.all()) + len(book.tags.all()) for book in books)


def filtered_count():
    many = []
    for author in Author.objects.prefetch_related("books"):  # <- queryset
        if author.books.filter(price__gt=6).count() > 1:  # <- here
            many.append(author.name)
    return sorted(many)


@fixes(filtered_count, annotated("Count", "books"), narrowed("books"), **MORE)
def filtered_count_fixed():
    authors = Author.objects.prefetch_related("books")
    return sorted(a.name for a in authors if sum(b.price > 6 for b in a.books.all()) > 1)


def one_by_one():
    authors = list(Author.objects.order_by("pk"))  # <- queryset
    for author in authors:
        prefetch_related_objects([author], "books")  # <- here
    return sorted(book.title for author in authors for book in author.books.all())


@fixes(one_by_one, prefetch("books"), Fix(r"prefetch_related_objects\(\s*\w+,\s*[\"']books"))
def one_by_one_fixed():
    authors = list(Author.objects.order_by("pk"))
    prefetch_related_objects(authors, "books")
    return sorted(book.title for author in authors for book in author.books.all())
