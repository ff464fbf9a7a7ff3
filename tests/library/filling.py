"""Rows to try cases on: `fill(n)` makes n authors and in proportion what hangs on them."""

from django.contrib.contenttypes.models import ContentType

from tests.library.models import (
    AudioBook,
    Author,
    Book,
    Category,
    Language,
    Note,
    Order,
    OrderLine,
    Profile,
    Publisher,
    Reader,
    Review,
    Setting,
    Shelfmark,
    Shop,
    Stock,
    Tag,
)
from tests.library.press import fill_press


def fill(n: int) -> None:
    """Make n of each, each related to another one, so that no two lookups are the same."""
    numbers = range(n)
    languages = Language.objects.bulk_create(
        Language(name=f"language {i}", code=f"l{i}") for i in numbers
    )
    publishers = Publisher.objects.bulk_create(
        Publisher(name=f"publisher {i}", city="Porto" if i % 2 else "Graz") for i in numbers
    )
    tags = Tag.objects.bulk_create(Tag(name=f"tag {i}") for i in numbers)
    shops = Shop.objects.bulk_create(Shop(name=f"shop {i}") for i in numbers)
    readers = Reader.objects.bulk_create(
        Reader(name=f"reader {i}", email=f"r{i}@example.org") for i in numbers
    )
    authors = Author.objects.bulk_create(
        Author(name=f"author {i}", publisher=publishers[i], language=languages[i]) for i in numbers
    )
    for author, mentor in zip(authors, [*authors[1:], authors[0]], strict=True):
        author.mentor = mentor
    Author.objects.bulk_update(authors, ["mentor"])
    Profile.objects.bulk_create(
        Profile(author=author, biography=f"Born as {author.name}, lived.") for author in authors
    )
    _fill_books(authors, tags, shops, readers)
    _fill_rest(n, readers)
    fill_press(n)


def _fill_books(
    authors: list[Author], tags: list[Tag], shops: list[Shop], readers: list[Reader]
) -> None:
    n = len(authors)
    books = Book.objects.bulk_create(
        Book(
            title=f"book {i}",
            author=authors[i % n],
            editor=authors[(i + 1) % n],
            pages=100 + 50 * (i // n) + i % n,
            price=5 + i,
            text=f"It was a dark night in year {i}. " * 3,
        )
        for i in range(2 * n)
    )
    link = Book.tags.through
    link.objects.bulk_create(
        link(book=book, tag=tags[(i + step) % n]) for i, book in enumerate(books) for step in (0, 1)
    )
    Stock.objects.bulk_create(
        Stock(book=book, shop=shops[i % n], amount=i + 1) for i, book in enumerate(books)
    )
    Review.objects.bulk_create(
        Review(book=book, reviewer=readers[(i + step) % n], stars=1 + (i + step) % 5, body="Well.")
        for i, book in enumerate(books)
        for step in (0, 1)
    )
    of_books = ContentType.objects.get_for_model(Book)
    Note.objects.bulk_create(
        Note(content_type=of_books, object_id=book.pk, text=f"note on {book}") for book in books
    )
    Shelfmark.objects.bulk_create(
        Shelfmark(mark=f"S-{i}", volume=book) for i, book in enumerate(books)
    )


def _fill_rest(n: int, readers: list[Reader]) -> None:
    root = Category.objects.create(name="root")
    branches = Category.objects.bulk_create(
        Category(name=f"branch {i}", parent=root) for i in range(n)
    )
    Category.objects.bulk_create(
        Category(name=f"leaf {i}", parent=branch) for i, branch in enumerate(branches)
    )
    orders = Order.objects.bulk_create(
        Order(buyer=reader, number=i) for i, reader in enumerate(readers)
    )
    books = list(Book.objects.order_by("pk"))
    OrderLine.objects.bulk_create(
        OrderLine(order=order, book=books[2 * i + step], amount=i + 1)
        for i, order in enumerate(orders)
        for step in (0, 1)
    )
    Setting.objects.bulk_create(
        Setting(key=key, value="10") for key in ("currency", "limit", "theme")
    )
    authors = list(Author.objects.order_by("pk"))
    for i in range(n):  # of a model with a parent's table: no bulk_create
        AudioBook.objects.create(
            title=f"audio {i}", author=authors[i], narrator=readers[i], pages=300 + i
        )
