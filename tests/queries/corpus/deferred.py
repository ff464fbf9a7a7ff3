"""Columns left out and then read row by row."""

from tests.library.helpers import recent_books
from tests.library.models import Author, Book, Review
from tests.queries.case import Fix, fixes


def loaded(column: str) -> Fix:
    """Take any way that loads the column with the rows."""
    return Fix(
        rf"only\([^)]*[\"'](\w+__)?{column}[\"']|(remove|drop|without|no)\b.*(defer|only|{column})"
        rf"|values(_list)?\([^)]*{column}|defer\(None\)|-\s*.*(defer|only)\("
    )


def only():
    texts = []
    for book in Book.objects.only("title").order_by("pk"):  # <- queryset
        texts.append(f"{book.title}: {book.text[:10]}")  # <- here
    return texts


@fixes(only, loaded("text"))
def only_fixed():
    texts = []
    for book in Book.objects.only("title", "text").order_by("pk"):
        texts.append(f"{book.title}: {book.text[:10]}")
    return texts


def defer():
    books = Book.objects.defer("text").order_by("pk")  # <- queryset
    return sum(len(book.text) for book in books)  # <- here


@fixes(defer, loaded("text"))
def defer_fixed():
    return sum(len(book.text) for book in Book.objects.order_by("pk"))


def in_method():
    return [book.excerpt() for book in Book.objects.defer("text", "price")]  # <- queryset


@fixes(in_method, loaded("text"), here=Book.excerpt)
def in_method_fixed():
    return [book.excerpt() for book in Book.objects.defer("price")]


def far_from_the_queryset():
    def without_texts(books):
        return books.defer("text")  # <- queryset

    def words(books):
        for book in books:
            yield len(book.text.split())  # <- here

    return sum(words(without_texts(recent_books())))


@fixes(far_from_the_queryset, loaded("text"))
def far_from_the_queryset_fixed():
    return sum(len(book.text.split()) for book in recent_books())


def of_a_joined_row():
    reviews = Review.objects.select_related("book").only("stars", "book__title")  # <- queryset
    return [(r.stars, r.book.title, r.book.pages) for r in reviews]  # <- here


@fixes(of_a_joined_row, loaded("pages"))
def of_a_joined_row_fixed():
    reviews = Review.objects.select_related("book").only("stars", "book__title", "book__pages")
    return [(r.stars, r.book.title, r.book.pages) for r in reviews]


def foreign_key_itself():
    ids = set()
    for author in Author.objects.only("name"):  # <- queryset
        if author.mentor_id:  # <- here
            ids.add(author.name)
    return ids


@fixes(foreign_key_itself, loaded("mentor(_id)?"))
def foreign_key_itself_fixed():
    return {author.name for author in Author.objects.only("name", "mentor") if author.mentor_id}
