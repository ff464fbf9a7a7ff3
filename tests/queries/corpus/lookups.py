"""Single lookups, asked once for each key."""

from django.db.models import Count, Max, Q, Sum
from django.shortcuts import get_object_or_404

from tests.library.helpers import publisher_by_id
from tests.library.models import Author, Book, OrderLine, Publisher, Reader, Review, Shop, Stock
from tests.queries.case import BATCH, EXISTS, GROUPED, annotated, fixes, join, prefetch


def wanted():
    """Return the lines of a file that somebody sent."""
    return [{"name": name} for name in Publisher.objects.values_list("name", flat=True)]


def get_by_key():
    ids = list(Author.objects.order_by("pk").values_list("publisher_id", flat=True))
    return [Publisher.objects.get(pk=pk).name for pk in ids]  # <- here


@fixes(get_by_key, BATCH)
def get_by_key_fixed():
    ids = list(Author.objects.order_by("pk").values_list("publisher_id", flat=True))
    found = Publisher.objects.in_bulk(ids)
    return [found[pk].name for pk in ids]


def get_in_helper():
    rows = Author.objects.order_by("pk").values("name", "publisher_id")
    return {row["name"]: publisher_by_id(row["publisher_id"]).city for row in rows}


@fixes(get_in_helper, BATCH, join("publisher"), here=publisher_by_id)
def get_in_helper_fixed():
    rows = Author.objects.order_by("pk").values("name", "publisher_id")
    cities = Publisher.objects.filter(pk__in=[row["publisher_id"] for row in rows])
    by_id = {publisher.pk: publisher.city for publisher in cities}
    return {row["name"]: by_id[row["publisher_id"]] for row in rows}


def get_by_foreign_id():
    cities = []
    for author in Author.objects.order_by("pk"):  # <- queryset
        cities.append(Publisher.objects.get(id=author.publisher_id).city)  # <- here
    return cities


@fixes(get_by_foreign_id, BATCH, join("publisher"))
def get_by_foreign_id_fixed():
    authors = Author.objects.select_related("publisher").order_by("pk")
    return [author.publisher.city for author in authors]


def get_by_name():
    cities = {}
    for line in wanted():
        try:
            publisher = Publisher.objects.get(name=line["name"])  # <- here
        except Publisher.DoesNotExist:
            continue
        cities[line["name"]] = publisher.city
    return cities


@fixes(get_by_name, BATCH)
def get_by_name_fixed():
    names = [line["name"] for line in wanted()]
    return {p.name: p.city for p in Publisher.objects.filter(name__in=names)}


def filter_first():
    emails = []
    for number in range(Reader.objects.count()):
        reader = Reader.objects.filter(name=f"reader {number}").first()  # <- here
        emails.append(reader.email if reader else None)
    return emails


@fixes(filter_first, BATCH)
def filter_first_fixed():
    names = [f"reader {number}" for number in range(Reader.objects.count())]
    found = {r.name: r.email for r in Reader.objects.filter(name__in=names)}
    return [found.get(name) for name in names]


def exists():
    known = set()
    for line in wanted():
        if Publisher.objects.filter(name__iexact=line["name"]).exists():  # <- here
            known.add(line["name"])
    return known


@fixes(exists, BATCH, EXISTS)
def exists_fixed():
    names = set(Publisher.objects.values_list("name", flat=True))
    return {line["name"] for line in wanted() if line["name"] in names}


def count():
    sizes = {}
    for publisher in Publisher.objects.all():  # <- queryset
        sizes[publisher.name] = Author.objects.filter(publisher=publisher).count()  # <- here
    return sizes


@fixes(count, annotated("Count", "authors"), GROUPED)
def count_fixed():
    publishers = Publisher.objects.annotate(size=Count("authors"))
    return {publisher.name: publisher.size for publisher in publishers}


def count_by_id():
    rows = Author.objects.order_by("pk").values_list("pk", "name")
    return [
        (name, Book.objects.filter(author_id=pk, pages__gt=120).count())  # <- here
        for pk, name in rows
    ]


@fixes(count_by_id, annotated("Count", "books"), annotated("Count"), GROUPED)
def count_by_id_fixed():
    big = Count("books", filter=Q(books__pages__gt=120))
    return list(Author.objects.order_by("pk").annotate(n=big).values_list("name", "n"))


def aggregate():
    sold = []
    for shop in Shop.objects.order_by("pk"):  # <- queryset
        total = Stock.objects.filter(shop=shop).aggregate(Sum("amount"))  # <- here
        sold.append(total["amount__sum"])
    return sold


@fixes(aggregate, annotated("Sum", "stock"), GROUPED)
def aggregate_fixed():
    return [s.sum for s in Shop.objects.annotate(sum=Sum("stock__amount")).order_by("pk")]


def latest():
    stars = {}
    for reader in Reader.objects.order_by("pk"):  # <- queryset
        stars[reader.name] = Review.objects.filter(reviewer=reader).latest("pk").stars  # <- here
    return stars


@fixes(latest, annotated("Subquery|Max"), prefetch("reviews"), GROUPED, BATCH)
def latest_fixed():
    last = Reader.objects.annotate(last=Max("reviews__pk")).values_list("name", "last")
    reviews = Review.objects.in_bulk([pk for _, pk in last])
    return {name: reviews[pk].stars for name, pk in last}


def or_404():
    lines = OrderLine.objects.order_by("pk").values_list("book_id", flat=True)
    books = [get_object_or_404(Book, pk=book_id) for book_id in lines]  # <- here
    return [book.title for book in books]


@fixes(or_404, BATCH, join("book"))
def or_404_fixed():
    lines = list(OrderLine.objects.order_by("pk").values_list("book_id", flat=True))
    books = Book.objects.in_bulk(lines)
    return [books[book_id].title for book_id in lines]


def rows_of_each():
    basket: dict[str, list[str]] = {}
    for author in Author.objects.all():  # <- queryset
        books = Book.objects.filter(author=author).order_by("title")
        basket[author.name] = [book.title for book in books]  # <- here
    return basket


@fixes(rows_of_each, prefetch("books"), BATCH)
def rows_of_each_fixed():
    basket: dict[str, list[str]] = {}
    for book in Book.objects.select_related("author").order_by("title"):
        basket.setdefault(book.author.name, []).append(book.title)
    return basket


def last_with_walrus():
    books = list(Book.objects.order_by("pk").values_list("pk", flat=True))
    return [
        review.stars
        for pk in books
        if (review := Review.objects.filter(book_id=pk, stars__gt=0).last())  # <- here
    ]


@fixes(last_with_walrus, BATCH, annotated("Subquery|Max"), GROUPED)
def last_with_walrus_fixed():
    last = {r.book_id: r.stars for r in Review.objects.filter(stars__gt=0).order_by("pk")}
    books = Book.objects.order_by("pk").values_list("pk", flat=True)
    return [last[pk] for pk in books if pk in last]


def reloading():
    authors = list(Author.objects.order_by("pk"))  # <- queryset
    Author.objects.update(books_sold=7)
    for author in authors:
        author.refresh_from_db(fields=["books_sold"])  # <- here
    return [author.books_sold for author in authors]


@fixes(reloading, BATCH)
def reloading_fixed():
    authors = list(Author.objects.order_by("pk"))
    Author.objects.update(books_sold=7)
    fresh = Author.objects.in_bulk([author.pk for author in authors])
    return [fresh[author.pk].books_sold for author in authors]
