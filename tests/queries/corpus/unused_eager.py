"""Eager loads that nobody reads."""

from tests.library.models import Author, Book, Order, Publisher, Reader, Review
from tests.queries.case import UNUSED, dropped, fixes

IDLE = (UNUSED,)


def prefetched_many():
    authors = Author.objects.prefetch_related("books").order_by("pk")  # <- here
    return [author.name for author in authors]


@fixes(prefetched_many, dropped("books"), kinds=IDLE)
def prefetched_many_fixed():
    return [author.name for author in Author.objects.order_by("pk")]


def prefetched_tags():
    titles = []
    for book in Book.objects.select_related("author").prefetch_related("tags"):  # <- here
        titles.append((book.title, book.author.name))
    return sorted(titles)


@fixes(prefetched_tags, dropped("tags"), kinds=IDLE)
def prefetched_tags_fixed():
    return sorted((book.title, book.author.name) for book in Book.objects.select_related("author"))


def one_of_two():
    readers = Reader.objects.prefetch_related("orders", "reviews").order_by("pk")  # <- here
    return [sum(review.stars for review in reader.reviews.all()) for reader in readers]


@fixes(one_of_two, dropped("orders"), kinds=IDLE)
def one_of_two_fixed():
    readers = Reader.objects.prefetch_related("reviews").order_by("pk")
    return [sum(review.stars for review in reader.reviews.all()) for reader in readers]


def inner_level():
    publishers = Publisher.objects.order_by("pk").prefetch_related("authors__books")  # <- here
    return [[author.name for author in publisher.authors.all()] for publisher in publishers]


@fixes(inner_level, dropped("authors__books"), kinds=IDLE)
def inner_level_fixed():
    publishers = Publisher.objects.order_by("pk").prefetch_related("authors")
    return [[author.name for author in publisher.authors.all()] for publisher in publishers]


def joined():
    reviews = Review.objects.select_related("book").order_by("pk")  # <- here
    return [review.stars for review in reviews]


@fixes(joined, dropped("book"), kinds=IDLE)
def joined_fixed():
    return [review.stars for review in Review.objects.order_by("pk")]


def joined_for_an_id():
    orders = Order.objects.select_related("buyer").order_by("number")  # <- here
    return len({order.buyer_id for order in orders})


@fixes(joined_for_an_id, dropped("buyer"), kinds=IDLE)
def joined_for_an_id_fixed():
    return len({order.buyer_id for order in Order.objects.order_by("number")})
