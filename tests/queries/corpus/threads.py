"""Work in threads, each with a connection of its own."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from django.db import connection

from tests.library.models import Author, Book, Publisher
from tests.queries.case import BATCH, fixes, join, prefetch


def loop_in_thread():
    names: list[str] = []

    def work():
        try:
            for book in Book.objects.order_by("pk"):  # <- queryset
                names.append(book.author.name)  # <- here
        finally:
            connection.close()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    return names


@fixes(loop_in_thread, join("author"), committed=True)
def loop_in_thread_fixed():
    names: list[str] = []

    def work():
        try:
            books = Book.objects.select_related("author").order_by("pk")
            names.extend(book.author.name for book in books)
        finally:
            connection.close()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    return names


def one_thread_each():
    def titles(author):
        try:
            return sorted(book.title for book in author.books.all())  # <- here
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(titles, Author.objects.order_by("pk")))  # <- queryset


@fixes(one_thread_each, prefetch("books"), committed=True)
def one_thread_each_fixed():
    def titles(author):
        return sorted(book.title for book in author.books.all())

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(titles, Author.objects.prefetch_related("books").order_by("pk")))


def batch_in_pool():
    def cities(ids):
        try:
            return [Publisher.objects.get(pk=pk).city for pk in ids]  # <- here
        finally:
            connection.close()

    ids = list(Author.objects.order_by("pk").values_list("publisher_id", flat=True))
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(cities, ids).result()


@fixes(batch_in_pool, BATCH, committed=True)
def batch_in_pool_fixed():
    def cities(ids):
        try:
            found = Publisher.objects.in_bulk(ids)
            return [found[pk].city for pk in ids]
        finally:
            connection.close()

    ids = list(Author.objects.order_by("pk").values_list("publisher_id", flat=True))
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(cities, ids).result()
