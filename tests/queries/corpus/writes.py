"""Rows written one by one."""

from django.db import connection, transaction
from django.db.models import F

from tests.library.helpers import ensure_tag
from tests.library.models import Author, Book, Note, Publisher, Reader, Review, Stock, Tag
from tests.queries.case import (
    BATCH,
    BULK_CREATE,
    BULK_DELETE,
    BULK_UPDATE,
    MANY,
    N_PLUS_ONE,
    WRITE,
    Fix,
    fixes,
)

WRITES = (WRITE,)
LOOKED_UP = (WRITE, N_PLUS_ONE)  # each row is looked for and then written


def pages():
    return sorted(Book.objects.values_list("pages", flat=True))


def save():
    for book in Book.objects.all():
        book.pages += 1
        book.save()  # <- here
    return pages()


@fixes(save, BULK_UPDATE, kinds=WRITES)
def save_fixed():
    books = list(Book.objects.all())
    for book in books:
        book.pages += 1
    Book.objects.bulk_update(books, ["pages"])
    return pages()


def save_some_fields():
    with transaction.atomic():
        for number, author in enumerate(Author.objects.order_by("pk")):
            author.books_sold = number
            author.save(update_fields=["books_sold"])  # <- here
    return list(Author.objects.order_by("pk").values_list("books_sold", flat=True))


@fixes(save_some_fields, BULK_UPDATE, kinds=WRITES)
def save_some_fields_fixed():
    authors = list(Author.objects.order_by("pk"))
    for number, author in enumerate(authors):
        author.books_sold = number
    Author.objects.bulk_update(authors, ["books_sold"])
    return list(Author.objects.order_by("pk").values_list("books_sold", flat=True))


def create():
    for name in list(Reader.objects.values_list("name", flat=True)):
        Tag.objects.create(name=f"by {name}")  # <- here
    return Tag.objects.filter(name__startswith="by ").count()


@fixes(create, BULK_CREATE, kinds=WRITES)
def create_fixed():
    names = Reader.objects.values_list("name", flat=True)
    Tag.objects.bulk_create([Tag(name=f"by {name}") for name in names])
    return Tag.objects.filter(name__startswith="by ").count()


def create_related():
    reader = Reader.objects.earliest("pk")
    for book in Book.objects.order_by("pk"):
        book.reviews.create(reviewer=reader, stars=5, body="new")  # <- here
    return Review.objects.filter(body="new").count()


@fixes(create_related, BULK_CREATE, kinds=WRITES)
def create_related_fixed():
    reader = Reader.objects.earliest("pk")
    Review.objects.bulk_create(
        Review(book=book, reviewer=reader, stars=5, body="new") for book in Book.objects.all()
    )
    return Review.objects.filter(body="new").count()


def init_and_save():
    def import_line(line):
        publisher = Publisher(name=line.strip())
        publisher.save()  # <- here
        return publisher

    text = "\n".join(Author.objects.values_list("name", flat=True))
    return len([import_line(line) for line in text.splitlines()])


@fixes(init_and_save, BULK_CREATE, kinds=WRITES)
def init_and_save_fixed():
    names = Author.objects.values_list("name", flat=True)
    return len(Publisher.objects.bulk_create(Publisher(name=name) for name in names))


def delete():
    for note in Note.objects.filter(text__startswith="note"):
        note.delete()  # <- here
    return Note.objects.count()


@fixes(delete, BULK_DELETE, kinds=WRITES)
def delete_fixed():
    Note.objects.filter(text__startswith="note").delete()
    return Note.objects.count()


def delete_by_key():
    for pk in list(Stock.objects.values_list("pk", flat=True)):
        Stock.objects.filter(pk=pk).delete()  # <- here
    return Stock.objects.count()


@fixes(delete_by_key, BULK_DELETE, kinds=WRITES)
def delete_by_key_fixed():
    Stock.objects.filter(pk__in=list(Stock.objects.values_list("pk", flat=True))).delete()
    return Stock.objects.count()


def update_by_key():
    for book in Book.objects.only("pk"):
        Book.objects.filter(pk=book.pk).update(pages=F("pages") + 5)  # <- here
    return pages()


@fixes(update_by_key, BULK_UPDATE, kinds=WRITES)
def update_by_key_fixed():
    Book.objects.update(pages=F("pages") + 5)
    return pages()


def get_or_create():
    for name in Publisher.objects.values_list("name", flat=True):
        Tag.objects.get_or_create(name=name)  # <- here
    return sorted(str(tag) for tag in Tag.objects.all())


@fixes(get_or_create, BULK_CREATE, BATCH, kinds=LOOKED_UP)
def get_or_create_fixed():
    names = list(Publisher.objects.values_list("name", flat=True))
    known = set(Tag.objects.filter(name__in=names).values_list("name", flat=True))
    Tag.objects.bulk_create(Tag(name=name) for name in names if name not in known)
    return sorted(str(tag) for tag in Tag.objects.all())


def get_or_create_in_helper():
    book = Book.objects.earliest("pk")
    book.tags.set([ensure_tag(f"by {author}") for author in Author.objects.all()])
    return book.tags.count()


@fixes(get_or_create_in_helper, BULK_CREATE, BATCH, kinds=LOOKED_UP, here=ensure_tag)
def get_or_create_in_helper_fixed():
    book = Book.objects.earliest("pk")
    book.tags.set(Tag.objects.bulk_create(Tag(name=f"by {a}") for a in Author.objects.all()))
    return book.tags.count()


def update_or_create():
    for reader in Reader.objects.order_by("pk"):
        Reader.objects.update_or_create(name=reader.name, defaults={"email": "x@y.org"})  # <- here
    return Reader.objects.filter(email="x@y.org").count()


@fixes(update_or_create, BULK_CREATE, BULK_UPDATE, BATCH, kinds=LOOKED_UP)
def update_or_create_fixed():
    names = list(Reader.objects.values_list("name", flat=True))
    Reader.objects.filter(name__in=names).update(email="x@y.org")
    return Reader.objects.filter(email="x@y.org").count()


THROUGH = Fix(r"bulk_create\(|\.set\(|\.add\(\*")


def add_tag():
    tag = Tag.objects.create(name="everywhere")
    for book in Book.objects.all():
        book.tags.add(tag)  # <- here
    return tag.books.count()


@fixes(add_tag, THROUGH, kinds=LOOKED_UP)
def add_tag_fixed():
    tag = Tag.objects.create(name="everywhere")
    tag.books.set(Book.objects.all())
    return tag.books.count()


def raw_insert():
    authors = list(Author.objects.values_list("name", flat=True))
    with connection.cursor() as cursor:
        for name in authors:
            cursor.execute(  # <- here
                "INSERT INTO library_shop (name, address) VALUES (%s, %s)", [name, "unknown"]
            )
    return authors


@fixes(raw_insert, MANY, kinds=WRITES)
def raw_insert_fixed():
    authors = list(Author.objects.values_list("name", flat=True))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO library_shop (name, address) VALUES (%s, %s)",
            [(name, "unknown") for name in authors],
        )
    return authors


def each_in_its_transaction():
    done = 0
    for review in Review.objects.order_by("-pk"):
        with transaction.atomic():
            review.stars = min(review.stars + 1, 5)
            review.save(update_fields={"stars"})  # <- here
            done += 1
    return done


@fixes(each_in_its_transaction, BULK_UPDATE, kinds=WRITES)
def each_in_its_transaction_fixed():
    reviews = list(Review.objects.all())
    for review in reviews:
        review.stars = min(review.stars + 1, 5)
    with transaction.atomic():
        Review.objects.bulk_update(reviews, ["stars"])
    return len(reviews)
