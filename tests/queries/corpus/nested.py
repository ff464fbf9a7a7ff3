"""Deeper levels, recursion, and the machinery that stands around a query in larger projects."""

import functools
from contextlib import contextmanager
from itertools import groupby

from django.db.models import Prefetch

from tests.library.helpers import OrderLineSerializer, OrderSerializer
from tests.library.models import Author, Book, Category, Order, OrderLine, Publisher, Review
from tests.queries.case import BATCH, Fix, annotated, fixes, join, prefetch


def three_levels():
    names = []
    publishers = Publisher.objects.order_by("pk")
    for publisher in publishers.prefetch_related("authors__books"):  # <- queryset
        for author in publisher.authors.all():
            for book in author.books.all():
                names += [r.body for r in book.reviews.all() if r.stars > 2]  # <- here
    return names


@fixes(three_levels, prefetch("authors__books__reviews"))
def three_levels_fixed():
    publishers = Publisher.objects.order_by("pk").prefetch_related("authors__books__reviews")
    return [
        review.body
        for publisher in publishers
        for author in publisher.authors.all()
        for book in author.books.all()
        for review in book.reviews.all()
        if review.stars > 2
    ]


def inner_of_two_loops():
    pairs = set()
    for author in Author.objects.all():  # <- queryset
        for book in author.books.all():
            for review in book.reviews.all():  # <- here
                pairs.add((author.name, review.stars))
    return pairs


@fixes(inner_of_two_loops, prefetch("books__reviews"))
def inner_of_two_loops_fixed():
    pairs = set()
    for author in Author.objects.prefetch_related("books__reviews"):
        for book in author.books.all():
            pairs |= {(author.name, review.stars) for review in book.reviews.all()}
    return pairs


def relation_behind_a_prefetch():
    """An editor of each book that came by the prefetch."""
    editors = {}
    authors = Author.objects.prefetch_related("books").order_by("pk")  # <- queryset
    for author in authors:
        editors[author.name] = sorted(
            str(book.editor)  # <- here
            for book in author.books.all()
            if book.editor_id
        )
    return editors


@fixes(relation_behind_a_prefetch, prefetch("books__editor"))
def relation_behind_a_prefetch_fixed():
    books = Prefetch("books", queryset=Book.objects.select_related("editor"))
    authors = Author.objects.prefetch_related(books).order_by("pk")
    return {a.name: sorted(str(b.editor) for b in a.books.all() if b.editor_id) for a in authors}


def behind_a_join():
    stars = []
    for review in Review.objects.select_related("book__author").order_by("pk"):  # <- queryset
        stars.append((review.stars, str(review.book.author.mentor)))  # <- here
    return stars


@fixes(behind_a_join, join("book__author__mentor"))
def behind_a_join_fixed():
    reviews = Review.objects.select_related("book__author__mentor").order_by("pk")
    return [(review.stars, str(review.book.author.mentor)) for review in reviews]


def serializers_within():
    orders = Order.objects.prefetch_related("lines").order_by("number")  # <- queryset
    return OrderSerializer().many(orders)


@fixes(serializers_within, prefetch("lines__book"), here=OrderLineSerializer)
def serializers_within_fixed():
    return OrderSerializer().many(Order.objects.prefetch_related("lines__book").order_by("number"))


def tags_behind_a_join():
    words = []
    lines = OrderLine.objects.select_related("book").order_by("pk")  # <- queryset
    for line in lines:
        words.append(sorted(t.name for t in line.book.tags.all()))  # <- here
    return words


@fixes(tags_behind_a_join, prefetch("book__tags"))
def tags_behind_a_join_fixed():
    lines = OrderLine.objects.select_related("book").prefetch_related("book__tags").order_by("pk")
    return [sorted(t.name for t in line.book.tags.all()) for line in lines]


def down_a_tree():
    def walk(category, depth=0):
        yield "  " * depth + category.name
        for child in category.children.order_by("pk"):  # <- here
            yield from walk(child, depth + 1)

    return list(walk(Category.objects.get(parent=None)))


ALL_AT_ONCE = Fix(r"Category\.objects\.(all|filter|order_by|values)|RECURSIVE|Prefetch\(.children")


@fixes(down_a_tree, prefetch("children(__children)*"), BATCH, ALL_AT_ONCE)
def down_a_tree_fixed():
    children: dict[int | None, list[Category]] = {}
    for category in Category.objects.order_by("pk"):
        children.setdefault(category.parent_id, []).append(category)

    def walk(category, depth=0):
        yield "  " * depth + category.name
        for child in children.get(category.pk, []):
            yield from walk(child, depth + 1)

    return list(walk(children[None][0]))


def parents_of_leaves():
    rows = []
    for leaf in Category.objects.filter(children=None).order_by("pk"):  # <- queryset
        parent = leaf.parent  # <- here
        rows.append(f"{parent} > {leaf}")
    return rows


@fixes(parents_of_leaves, join("parent"))
def parents_of_leaves_fixed():
    leaves = Category.objects.filter(children=None).select_related("parent").order_by("pk")
    return [f"{leaf.parent} > {leaf}" for leaf in leaves]


calls: list[str] = []


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)

    return wrapper


@logged
def city_of(author):
    return author.publisher.city  # <- here


@contextmanager
def step(name):
    yield name.upper()


def behind_a_decorator():
    cities = []
    with step("cities") as title:
        for author in Author.objects.order_by("pk"):  # <- queryset
            cities.append((title, city_of(author)))
    return cities


@fixes(behind_a_decorator, join("publisher"), here=city_of)
def behind_a_decorator_fixed():
    authors = Author.objects.select_related("publisher").order_by("pk")
    return [("CITIES", city_of(author)) for author in authors]


def by_map():
    def spoken(author):
        return author.language.name  # <- here

    authors = Author.objects.order_by("pk")  # <- queryset
    return list(map(spoken, authors))


@fixes(by_map, join("language"))
def by_map_fixed():
    return [a.language.name for a in Author.objects.select_related("language").order_by("pk")]


def grouped():
    books = sorted(Book.objects.all(), key=lambda b: b.author_id)  # <- queryset
    groups = groupby(books, key=lambda b: b.author.name)  # <- here
    return {name: sorted(book.title for book in group) for name, group in groups}


@fixes(grouped, join("author"))
def grouped_fixed():
    books = sorted(Book.objects.select_related("author"), key=lambda b: b.author_id)
    groups = groupby(books, key=lambda b: b.author.name)
    return {name: sorted(book.title for book in group) for name, group in groups}


class Invoice:
    """A service that gets its rows from outside and keeps them."""

    def __init__(self, orders):
        self.orders = list(orders)

    def render(self):
        return [self._row(order) for order in self.orders]

    def _row(self, order):
        who = order.buyer.name  # <- here
        return f"{order.number:03} {who}"


def in_a_service():
    return Invoice(Order.objects.filter(status="new").order_by("number")).render()  # <- queryset


@fixes(in_a_service, join("buyer"), here=Invoice)
def in_a_service_fixed():
    orders = Order.objects.filter(status="new").select_related("buyer").order_by("number")
    return Invoice(orders).render()


def reduced():
    books = Book.objects.filter(audiobook=None).order_by("pk")  # <- queryset
    return functools.reduce(lambda sum, book: sum + book.reviews.count(), books, 0)  # <- here


@fixes(reduced, annotated("Count", "reviews"), prefetch("reviews"))
def reduced_fixed():
    return Review.objects.filter(book__audiobook=None).count()
