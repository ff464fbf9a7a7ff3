"""Foreign keys followed row by row."""

from operator import attrgetter

from tests.library.helpers import ReviewSerializer, byline, recent_books
from tests.library.models import (
    AudioBook,
    Author,
    Book,
    CheapBook,
    OrderLine,
    Review,
    Shelfmark,
)
from tests.queries.case import fixes, join


def loop():
    names = []
    for author in Author.objects.order_by("pk"):  # <- queryset
        names.append(author.publisher.name)  # <- here
    return names


@fixes(loop, join("publisher"))
def loop_fixed():
    names = []
    for author in Author.objects.select_related("publisher").order_by("pk"):
        names.append(author.publisher.name)
    return names


def in_helper():
    return [byline(book) for book in Book.objects.order_by("pk")]  # <- queryset


@fixes(in_helper, join("author"), here=byline)
def in_helper_fixed():
    return [byline(book) for book in Book.objects.select_related("author").order_by("pk")]


def both_in_helpers():
    return [byline(b) for b in recent_books()]


@fixes(both_in_helpers, join("author"), here=byline, queryset=recent_books)
def both_in_helpers_fixed():
    return [byline(b) for b in recent_books().select_related("author")]


def in_property():
    authors = Author.objects.filter(active=True).order_by("pk")  # <- queryset
    return "\n".join(author.imprint for author in authors)


@fixes(in_property, join("publisher"), here=Author.imprint)
def in_property_fixed():
    authors = Author.objects.filter(active=True).select_related("publisher").order_by("pk")
    return "\n".join(author.imprint for author in authors)


def second_level_in_property():
    books = Book.objects.select_related("author").order_by("pk")  # <- queryset
    return {book.title: book.publisher_name for book in books}


@fixes(second_level_in_property, join("author__publisher"), here=Book.publisher_name)
def second_level_in_property_fixed():
    books = Book.objects.select_related("author__publisher").order_by("pk")
    return {book.title: book.publisher_name for book in books}


def comprehension():
    lines = OrderLine.objects.order_by("pk")  # <- queryset
    return [(line.amount, line.book.title) for line in lines]  # <- here


@fixes(comprehension, join("book"))
def comprehension_fixed():
    lines = OrderLine.objects.select_related("book").order_by("pk")
    return [(line.amount, line.book.title) for line in lines]


def behind_only():
    result = set()
    for a in Author.objects.only("name", "publisher"):  # <- queryset
        result.add((a.name, a.publisher.city))  # <- here
    return result


@fixes(behind_only, join("publisher"))
def behind_only_fixed():
    result = set()
    for a in Author.objects.select_related("publisher").only("name", "publisher__city"):
        result.add((a.name, a.publisher.city))
    return result


def other_relation_is_joined():
    out = []
    for book in Book.objects.select_related("editor").order_by("title"):  # <- queryset
        editor = book.editor.name if book.editor else "-"
        out.append(f"{editor}, {book.author.name}")  # <- here
    return out


@fixes(other_relation_is_joined, join("author"))
def other_relation_is_joined_fixed():
    out = []
    for book in Book.objects.select_related("editor", "author").order_by("title"):
        editor = book.editor.name if book.editor else "-"
        out.append(f"{editor}, {book.author.name}")
    return out


def through_proxy():
    cheap = CheapBook.objects.filter(price__lt=1000).order_by("price", "pk")  # <- queryset
    return [
        f"{book.tagline()} {book.author.name}"  # <- here
        for book in cheap
    ]


@fixes(through_proxy, join("author"))
def through_proxy_fixed():
    cheap = CheapBook.objects.filter(price__lt=1000).order_by("price", "pk")
    return [f"{b.tagline()} {b.author.name}" for b in cheap.select_related("author")]


def of_a_child_model():
    heard = {}
    for audio in AudioBook.objects.all():  # <- queryset
        heard[audio.title] = audio.narrator.name  # <- here
    return heard


@fixes(of_a_child_model, join("narrator"))
def of_a_child_model_fixed():
    return {a.title: a.narrator.name for a in AudioBook.objects.select_related("narrator")}


def inherited_by_a_child_model():
    return sorted(
        audio.author.name  # <- here
        for audio in AudioBook.objects.filter(minutes__gte=10)  # <- queryset
    )


@fixes(inherited_by_a_child_model, join("author"))
def inherited_by_a_child_model_fixed():
    audios = AudioBook.objects.filter(minutes__gte=10).select_related("author")
    return sorted(audio.author.name for audio in audios)


def filtered_over_the_relation():
    # The filter joins the table, which loads nothing of it.
    found = Book.objects.filter(author__name__startswith="author").exclude(pages=0)  # <- queryset
    return sorted([b.title + b.author.name for b in found])  # <- here


@fixes(filtered_over_the_relation, join("author"))
def filtered_over_the_relation_fixed():
    found = Book.objects.filter(author__name__startswith="author").exclude(pages=0)
    return sorted([b.title + b.author.name for b in found.select_related("author")])


def to_itself():
    pairs = []
    for author in Author.objects.exclude(mentor=None).order_by("pk"):  # <- queryset
        mentor = author.mentor  # <- here
        pairs.append((author.name, mentor.name if mentor else ""))
    return pairs


@fixes(to_itself, join("mentor"))
def to_itself_fixed():
    pairs = []
    for author in Author.objects.exclude(mentor=None).select_related("mentor").order_by("pk"):
        pairs.append((author.name, author.mentor.name if author.mentor else ""))
    return pairs


def by_a_code():
    return [a.language.name for a in Author.current.by_name()]  # <- here


@fixes(by_a_code, join("language"), queryset=type(Author.current))
def by_a_code_fixed():
    return [a.language.name for a in Author.current.by_name().select_related("language")]


def odd_columns():
    marks = {}
    for shelfmark in Shelfmark.objects.iterator():  # <- queryset
        marks[shelfmark.mark] = shelfmark.volume.title  # <- here
    return marks


@fixes(odd_columns, join("volume"))
def odd_columns_fixed():
    return {m.mark: m.volume.title for m in Shelfmark.objects.select_related("volume")}


def by_uuid():
    numbers = []
    for line in OrderLine.objects.filter(amount__gte=1).order_by("pk"):  # <- queryset
        if line.order.status == "new":  # <- here
            numbers.append(line.order.number)
    return numbers


@fixes(by_uuid, join("order"))
def by_uuid_fixed():
    lines = OrderLine.objects.filter(amount__gte=1).select_related("order").order_by("pk")
    return [line.order.number for line in lines if line.order.status == "new"]


def two_levels():
    names = set()
    for review in Review.objects.all():  # <- queryset
        book = review.book
        names.add(book.author.name)  # <- here
    return names


@fixes(two_levels, join("book__author"))
def two_levels_fixed():
    return {review.book.author.name for review in Review.objects.select_related("book__author")}


def sort_key():
    books = list(Book.objects.all())  # <- queryset
    books.sort(key=lambda book: (book.author.name, book.title))  # <- here
    return [str(book) for book in books]


@fixes(sort_key, join("author"))
def sort_key_fixed():
    books = sorted(Book.objects.select_related("author"), key=attrgetter("author.name", "title"))
    return [str(book) for book in books]


def attribute_by_name():
    columns = ("title", "author.name", "pages")
    getters = [attrgetter(column) for column in columns]
    return [
        [getter(book) for getter in getters]  # <- here
        for book in Book.objects.order_by("pk")  # <- queryset
    ]


@fixes(attribute_by_name, join("author"))
def attribute_by_name_fixed():
    columns = ("title", "author.name", "pages")
    books = Book.objects.select_related("author").order_by("pk")
    return [[attrgetter(column)(book) for column in columns] for book in books]


def generator():
    def authors_and_cities():
        for author in Author.objects.order_by("-pk"):  # <- queryset
            yield author.name, author.publisher.city  # <- here

    return dict(authors_and_cities())


@fixes(generator, join("publisher"))
def generator_fixed():
    return {a.name: a.publisher.city for a in Author.objects.select_related("publisher")}


def serializer():
    reviews = Review.objects.filter(stars__gte=1)  # <- queryset
    return ReviewSerializer().many(reviews)


@fixes(serializer, join("reviewer"), here=ReviewSerializer)
def serializer_fixed():
    reviews = Review.objects.filter(stars__gte=1).select_related("reviewer")
    return ReviewSerializer().many(reviews)


def while_loop():
    rows = iter(Book.objects.order_by("pages", "pk"))  # <- queryset
    thick = []
    while (book := next(rows, None)) is not None:
        if book.pages < 120:
            continue
        thick.append(book.editor and book.editor.name)  # <- here
    return thick


@fixes(while_loop, join("editor"))
def while_loop_fixed():
    books = Book.objects.select_related("editor").order_by("pages", "pk").filter(pages__gte=120)
    return [book.editor and book.editor.name for book in books]
