"""Reads that load what they need."""

from django.contrib.contenttypes.models import ContentType
from django.db.models import Avg, Count, Exists, F, Max, Min, OuterRef, Prefetch, Q, Subquery, Sum

from tests.library.helpers import byline
from tests.library.models import (
    AudioBook,
    Author,
    Book,
    CheapBook,
    Note,
    Order,
    Publisher,
    Reader,
    Review,
    Tag,
)
from tests.queries.case import DUPLICATE, healthy


@healthy()
def joined_in_helper():
    return [byline(b) for b in Book.objects.select_related("author").order_by("pk")]


@healthy()
def to_attr():
    thick = Prefetch("books", queryset=Book.objects.filter(pages__gt=120), to_attr="thick")
    authors = Author.objects.order_by("pk").prefetch_related(thick)
    return [(author.name, len(author.thick)) for author in authors]


@healthy()
def count_and_exists_of_a_prefetch():
    out = []
    for author in Author.objects.order_by("pk").prefetch_related("books"):
        out.append((author.books.count(), author.books.exists(), len(author.books.all())))
    return out


@healthy()
def slice_of_a_prefetch():
    books = Book.objects.filter(audiobook=None).order_by("pk").prefetch_related("reviews")
    return [(book.reviews.all()[0].stars, book.reviews.all()[:1][0].stars) for book in books]


@healthy()
def first_of_an_ordered_prefetch():
    books = Book.objects.filter(audiobook=None).order_by("pk").prefetch_related("reviews")
    return [str(book.reviews.first()) for book in books]


@healthy()
def values_over_relations():
    return list(Book.objects.order_by("pk").values_list("title", "author__publisher__name"))


@healthy()
def annotations():
    authors = Author.objects.annotate(
        n=Count("books", distinct=True),
        long=Exists(Book.objects.filter(author=OuterRef("pk"), pages__gt=150)),
        newest=Subquery(
            Book.objects.filter(author=OuterRef("pk")).order_by("-pages").values("title")[:1]
        ),
    )
    return [(a.name, a.n, a.long, a.newest) for a in authors.order_by("pk")]


@healthy()
def several_aggregates():
    one = Book.objects.aggregate(Sum("pages"), Max("price"), Min("price"))
    two = Review.objects.aggregate(Avg("stars"), good=Count("pk", filter=Q(stars__gt=3)))
    return one | two


@healthy()
def union():
    names = Author.objects.values_list("name").union(Reader.objects.values_list("name"))
    return sorted(names)


@healthy()
def explained():
    return bool(Book.objects.filter(pages__gt=1).explain())


@healthy()
def subquery_in_filter():
    porto = Publisher.objects.filter(city="Porto").values("pk")
    return sorted(a.name for a in Author.objects.filter(publisher__in=porto))


@healthy()
def one_raw_query():
    sql = (
        "SELECT b.*, a.name AS writer FROM library_book b JOIN library_author a ON a.id=b.author_id"
    )
    return sorted((book.title, getattr(book, "writer", "")) for book in Book.objects.raw(sql))


@healthy()
def content_types():
    kinds = [ContentType.objects.get_for_model(model) for model in (Author, Book, Note, Book)]
    return [kind.model for kind in kinds]


@healthy()
def content_types_of_rows():
    ids = [note.content_type_id for note in Note.objects.all()]
    return {ContentType.objects.get_for_id(pk).model for pk in ids}


@healthy()
def generic_targets():
    notes = Note.objects.prefetch_related("target").order_by("pk")
    return [f"{note}: {note.target}" for note in notes]


@healthy()
def dictionary_of_parents():
    authors = {author.pk: author for author in Author.objects.all()}
    return [authors[book.author_id].name for book in Book.objects.order_by("pk")]


@healthy()
def known_parent():
    """Django sets the author of each book that comes from the author."""
    author = Author.objects.earliest("pk")
    return [book.author.name for book in author.books.all()]


@healthy()
def known_parent_of_a_prefetch():
    authors = Author.objects.prefetch_related("books").order_by("pk")
    return [book.author.name for author in authors for book in author.books.all()]


@healthy()
def foreign_ids():
    return {(book.author_id, book.editor_id) is None for book in Book.objects.all()}


@healthy()
def proxy_and_child():
    cheap = CheapBook.objects.select_related("author").order_by("pk")
    audio = AudioBook.objects.select_related("narrator", "author").order_by("pk")
    return [b.author.name for b in cheap], [(a.narrator.name, a.author.name) for a in audio]


@healthy()
def dashboard_on_separate_lines():
    new = Order.objects.filter(status="new").count()
    sent = Order.objects.filter(status="sent").count()
    lost = Order.objects.filter(status="lost").count()
    back = Order.objects.filter(status="back").count()
    return new, sent, lost, back


@healthy()
def one_parent_with_many_filters():
    author = Author.objects.earliest("pk")
    thin = author.books.filter(pages__lt=110)
    middle = author.books.filter(pages__gte=110, pages__lt=150)
    thick = author.books.filter(pages__gte=150)
    return [len(books) for books in (thin, middle, thick)], author.books.exclude(text="").count()


@healthy(DUPLICATE)
def twice_by_intent():
    before = Tag.objects.count()
    Tag.objects.create(name="one more")
    after = Tag.objects.count()
    return after - before


@healthy()
def loop_of_one_row():
    found = []
    for author in Author.objects.filter(name="author 1"):
        found.append((author.publisher.name, [book.title for book in author.books.order_by("pk")]))
    return found


@healthy()
def single_objects():
    author = Author.objects.latest("pk")
    return author.publisher.name, author.profile.biography, author.language.name, author.mentor


@healthy()
def two_lookups_of_two_people():
    buyer = Reader.objects.get(name="reader 0")
    seller = Reader.objects.get(name="reader 1")
    return buyer.email, seller.email


@healthy()
def comparison_in_the_database():
    return Book.objects.filter(pages__gt=F("price")).exists(), Book.objects.contains(
        Book.objects.earliest("pk")
    )


@healthy()
def nested_prefetch():
    reviews = Review.objects.select_related("reviewer")
    books = Book.objects.prefetch_related(Prefetch("reviews", queryset=reviews), "tags")
    authors = Author.objects.prefetch_related(Prefetch("books", queryset=books)).order_by("pk")
    return [
        (author.name, book.title, review.reviewer.name, len(book.tags.all()))
        for author in authors
        for book in sorted(author.books.all(), key=str)
        for review in book.reviews.all()
    ]
