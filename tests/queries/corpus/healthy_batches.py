"""Work in pages, chunks and batches: as many queries as there are batches."""

from itertools import islice

from django.core.paginator import Paginator
from django.db import connection, transaction

from tests.library.models import Author, Book, Note, Publisher, Review, Stock, Tag
from tests.queries.case import healthy


def chunks(rows, size):
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


@healthy(growth=4)
def pages():
    paginator = Paginator(Book.objects.order_by("pk"), 3)
    return [[book.title for book in paginator.page(number)] for number in paginator.page_range]


@healthy()
def one_page():
    page = Paginator(Book.objects.select_related("author").order_by("pk"), 2).get_page(2)
    return [str(book.author) for book in page], page.has_next(), page.paginator.count


@healthy(growth=4)
def offsets():
    titles, start = [], 0
    while True:
        batch = list(Book.objects.order_by("pk")[start : start + 4])
        titles += [book.title for book in batch]
        if len(batch) < 4:
            return titles
        start += 4


@healthy(growth=4)
def keyset():
    done, last = 0, 0
    while batch := list(Review.objects.filter(pk__gt=last).order_by("pk")[:4]):
        done += sum(review.stars for review in batch)
        last = batch[-1].pk
    return done


@healthy(growth=4)
def keyset_by_hand():
    seen: list[str] = []
    last = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT id, title FROM library_book WHERE id > %s ORDER BY id LIMIT 4", [last]
            )
            rows = cursor.fetchall()
            if not rows:
                return seen
            seen += [title for _, title in rows]
            last = rows[-1][0]


@healthy(growth=4)
def iterator_with_prefetch():
    count = 0
    for book in Book.objects.prefetch_related("tags").iterator(chunk_size=4):
        count += len(book.tags.all())
    return count


@healthy()
def server_side_cursor():
    return sum(book.pages for book in Book.objects.iterator(chunk_size=2))


@healthy(growth=3)
def in_bulk():
    cities = set()
    ids = Author.objects.values_list("publisher_id", flat=True)
    for batch in chunks(ids, 2):
        cities |= {one.city for one in Publisher.objects.in_bulk(batch).values()}
    return cities


@healthy(growth=4)
def filter_in():
    by_book: dict[int, int] = {}
    for ids in chunks(Book.objects.order_by("pk").values_list("pk", flat=True), 4):
        for review in Review.objects.filter(book_id__in=ids):
            by_book[review.book_id] = by_book.get(review.book_id, 0) + review.stars
    return list(by_book.values())


@healthy(growth=3)
def create_in_batches():
    lines = [f"tag of {name}" for name in Author.objects.values_list("name", flat=True)]
    for batch in chunks(lines, 2):
        Tag.objects.bulk_create([Tag(name=name) for name in batch])
    return Tag.objects.count()


@healthy(growth=3)
def create_with_batch_size():
    tags = [Tag(name=name) for name in Author.objects.values_list("name", flat=True)]
    Tag.objects.bulk_create(tags, batch_size=2)
    return Tag.objects.count()


@healthy(growth=9)
def update_in_batches():
    for books in chunks(Book.objects.order_by("pk"), 4):
        for book in books:
            book.pages *= 2
        Book.objects.bulk_update(books, ["pages"])
    return sum(Book.objects.values_list("pages", flat=True))


@healthy(growth=9)
def delete_in_chunks():
    removed = 0
    while ids := list(Note.objects.order_by("pk").values_list("pk", flat=True)[:4]):
        removed += Note.objects.filter(pk__in=ids).delete()[0]
    return removed


@healthy(growth=4)
def delete_raw_in_chunks():
    sql = "DELETE FROM library_stock WHERE id IN (SELECT id FROM library_stock LIMIT 4)"
    with connection.cursor() as cursor:
        while True:
            cursor.execute(sql)
            if cursor.rowcount == 0:
                return Stock.objects.count()


@healthy()
def executemany():
    rows = [(name, "nowhere") for name in Author.objects.values_list("name", flat=True)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO library_shop (name, address) VALUES (%s, %s)", rows)
    return len(rows)


@healthy(growth=12)
def batches_in_savepoints():
    done = 0
    with transaction.atomic():
        for batch in chunks(list(Review.objects.order_by("pk")), 6):
            with transaction.atomic():
                done += Review.objects.filter(pk__in=[r.pk for r in batch]).update(stars=1)
    return done
