"""Templates that ask for each row: the place is the template's line."""

from django.db.models import Count
from django.shortcuts import render
from django.template.loader import render_to_string
from django.test import RequestFactory

from tests.library.models import Author, Book, Order, Publisher
from tests.queries.case import annotated, fixes, join, prefetch
from tests.queries.corpus.deferred import loaded


def page(name, **context):
    return " ".join(render_to_string(f"library/{name}.html", context).split())


def forward():
    return page("publishers", authors=Author.objects.order_by("pk"))  # <- queryset


@fixes(forward, join("publisher"), here="library/publishers.html")
def forward_fixed():
    authors = Author.objects.select_related("publisher").order_by("pk")
    return page("publishers", authors=authors)


def reverse():
    authors = Author.objects.order_by("pk")  # <- queryset
    return len(page("books", authors=authors))


@fixes(reverse, prefetch("books"), here="library/books.html")
def reverse_fixed():
    return len(page("books", authors=Author.objects.order_by("pk").prefetch_related("books")))


def many_to_many():
    books = Book.objects.filter(pages__gte=1).order_by("title")  # <- queryset
    request = RequestFactory().get("/")
    return render(request, "library/tags.html", {"books": books}).content


@fixes(many_to_many, prefetch("tags"), annotated("Count", "tags"), here="library/tags.html")
def many_to_many_fixed():
    books = Book.objects.filter(pages__gte=1).order_by("title").prefetch_related("tags")
    request = RequestFactory().get("/")
    return render(request, "library/tags.html", {"books": books}).content


def count():
    return page("counts", publishers=Publisher.objects.order_by("pk"))  # <- queryset


@fixes(count, annotated("Count", "authors"), prefetch("authors"), here="library/counts.html")
def count_fixed():
    publishers = Publisher.objects.annotate(size=Count("authors")).order_by("pk")
    return page("counted", publishers=publishers)


def method():
    return page("excerpts", books=Book.objects.defer("text").order_by("pk"))  # <- queryset


@fixes(method, loaded("text"), here=Book.excerpt)
def method_fixed():
    return page("excerpts", books=Book.objects.order_by("pk"))


def nested():
    orders = Order.objects.prefetch_related("lines").order_by("number")  # <- queryset
    return page("authors_of_orders", orders=list(orders))


@fixes(nested, prefetch("lines__book"), here="library/authors_of_orders.html")
def nested_fixed():
    orders = Order.objects.prefetch_related("lines__book").order_by("number")
    return page("authors_of_orders", orders=list(orders))
