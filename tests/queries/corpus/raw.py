"""SQL by hand, once for each row."""

from django.db import connection

from tests.library.helpers import scalar
from tests.library.models import Author, Book, Publisher
from tests.queries.case import SQL_SET, annotated, fixes, join, prefetch


def cursor_in_loop():
    names = []
    with connection.cursor() as cursor:
        for author in Author.objects.order_by("pk"):
            cursor.execute(  # <- here
                "SELECT name FROM library_publisher WHERE id = %s", [author.publisher_id]
            )
            names.append(cursor.fetchone()[0])
    return names


@fixes(cursor_in_loop, SQL_SET, join("publisher"))
def cursor_in_loop_fixed():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.name FROM library_author a JOIN library_publisher p"
            " ON p.id = a.publisher_id ORDER BY a.id"
        )
        return [name for (name,) in cursor.fetchall()]


def cursor_in_helper():
    sql = "SELECT COUNT(*) FROM library_book WHERE author_id = %s"
    return [scalar(sql, author.pk) for author in Author.objects.order_by("pk")]


@fixes(cursor_in_helper, SQL_SET, annotated("Count"), here=scalar)
def cursor_in_helper_fixed():
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM library_book GROUP BY author_id ORDER BY author_id")
        return [count for (count,) in cursor]


def raw_queryset():
    titles = []
    for author in Author.objects.order_by("pk"):
        query = "SELECT * FROM library_book WHERE author_id = %s ORDER BY title"
        titles.append([book.title for book in Book.objects.raw(query, [author.pk])])  # <- here
    return titles


@fixes(raw_queryset, SQL_SET, prefetch("books"))
def raw_queryset_fixed():
    titles: dict[int, list[str]] = {}
    for book in Book.objects.raw("SELECT * FROM library_book ORDER BY author_id, title"):
        titles.setdefault(book.author_id, []).append(book.title)
    return list(titles.values())


def values_in_the_text():
    cities = {}
    for pk, name in Publisher.objects.values_list("pk", "name"):
        with connection.cursor() as cursor:
            sql = f"SELECT city FROM library_publisher WHERE id = {int(pk)}"  # noqa: S608
            cursor.execute(sql)  # <- here
            cities[name] = cursor.fetchone()[0]
    return cities


@fixes(values_in_the_text, SQL_SET)
def values_in_the_text_fixed():
    return dict(Publisher.objects.values_list("name", "city"))


def relation_of_raw_rows():
    books = Book.objects.raw("SELECT * FROM library_book ORDER BY id")  # <- queryset
    return [book.author.name for book in books]  # <- here


@fixes(relation_of_raw_rows, join("author"))
def relation_of_raw_rows_fixed():
    books = Book.objects.raw("SELECT * FROM library_book ORDER BY id").prefetch_related("author")
    return [book.author.name for book in books]
