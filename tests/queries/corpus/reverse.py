"""The many rows of one, fetched for each one."""

from django.db.models import Avg, Count, Exists, OuterRef, Prefetch, Sum

from tests.library.helpers import AuthorSerializer
from tests.library.models import Author, Book, Language, Order, Publisher, Reader, Review
from tests.queries.case import EXISTS, GROUPED, annotated, fixes, narrowed, prefetch, read_whole


def loop():
    result = []
    for author in Author.objects.order_by("pk"):  # <- queryset
        for book in author.books.all():  # <- here
            result.append((author.name, book.title))
    return sorted(result)


@fixes(loop, prefetch("books"))
def loop_fixed():
    result = []
    for author in Author.objects.prefetch_related("books").order_by("pk"):
        for book in author.books.all():
            result.append((author.name, book.title))
    return sorted(result)


def serializer():
    return AuthorSerializer().many(Author.objects.order_by("name"))  # <- queryset


@fixes(serializer, prefetch("books"), here=AuthorSerializer)
def serializer_fixed():
    return AuthorSerializer().many(Author.objects.order_by("name").prefetch_related("books"))


def in_property():
    return {a.name: a.titles for a in Author.current.all()}  # <- queryset


@fixes(in_property, prefetch("books"), here=Author.titles)
def in_property_fixed():
    return {a.name: a.titles for a in Author.current.prefetch_related("books")}


def without_related_name():
    marks = {}
    for book in Book.objects.filter(shelfmark__isnull=False).distinct():  # <- queryset
        marks[book.title] = [mark.mark for mark in book.shelfmark_set.all()]  # <- here
    return marks


@fixes(without_related_name, prefetch("shelfmark_set"))
def without_related_name_fixed():
    books = Book.objects.filter(shelfmark__isnull=False).distinct()
    return {
        book.title: [mark.mark for mark in book.shelfmark_set.all()]
        for book in books.prefetch_related("shelfmark_set")
    }


def with_query_name():
    authors = Author.objects.filter(edited__pages__gt=10).distinct().order_by("pk")  # <- queryset
    return [sorted(b.title for b in author.edited_books.all()) for author in authors]  # <- here


@fixes(with_query_name, prefetch("edited_books"))
def with_query_name_fixed():
    authors = Author.objects.filter(edited__pages__gt=10).distinct().order_by("pk")
    authors = authors.prefetch_related("edited_books")
    return [sorted(b.title for b in author.edited_books.all()) for author in authors]


def pupils():
    return [
        (master.name, len(master.pupils.all()))  # <- here
        for master in Author.objects.order_by("pk")  # <- queryset
    ]


@fixes(pupils, prefetch("pupils"), annotated("Count", "pupils"))
def pupils_fixed():
    masters = Author.objects.prefetch_related("pupils").order_by("pk")
    return [(master.name, len(master.pupils.all())) for master in masters]


def by_a_code():
    lines = []
    for language in Language.objects.order_by("code"):  # <- queryset
        speakers = list(language.speakers.all())  # <- here
        lines.append(f"{language}: {', '.join(str(s) for s in speakers)}")
    return lines


@fixes(by_a_code, prefetch("speakers"))
def by_a_code_fixed():
    lines = []
    for language in Language.objects.prefetch_related("speakers").order_by("code"):
        lines.append(f"{language}: {', '.join(str(s) for s in language.speakers.all())}")
    return lines


def totals_by_uuid():
    orders = Order.objects.order_by("number").prefetch_related("lines")  # <- queryset
    return [order.total() for order in orders]


@fixes(totals_by_uuid, prefetch("lines__book"), here=Order, queryset=totals_by_uuid)
def totals_by_uuid_fixed():
    orders = Order.objects.order_by("number").prefetch_related("lines__book")
    return [order.total() for order in orders]


def lines_by_uuid():
    amounts = {}
    for order in Order.objects.select_related("buyer"):  # <- queryset
        amount = sum(line.amount for line in order.lines.all())  # <- here
        amounts[order.number] = (order.buyer.name, amount)
    return amounts


@fixes(lines_by_uuid, prefetch("lines"), annotated("Sum", "lines"))
def lines_by_uuid_fixed():
    orders = Order.objects.select_related("buyer").annotate(amount=Sum("lines__amount"))
    return {order.number: (order.buyer.name, order.amount) for order in orders}


def counts():
    table = []
    for publisher in Publisher.objects.order_by("pk"):  # <- queryset
        table.append([publisher.name, publisher.authors.count()])  # <- here
    return table


@fixes(counts, annotated("Count", "authors"), prefetch("authors"))
def counts_fixed():
    publishers = Publisher.objects.annotate(size=Count("authors")).order_by("pk")
    return [[publisher.name, publisher.size] for publisher in publishers]


def exists_in_property():
    return [author.name for author in Author.objects.all() if author.has_long_book]  # <- queryset


@fixes(exists_in_property, EXISTS, narrowed("books"), here=Author.has_long_book)
def exists_in_property_fixed():
    long = Book.objects.filter(author=OuterRef("pk"), pages__gt=150)
    return [a.name for a in Author.objects.annotate(long=Exists(long)) if a.long]


def filtered():
    report = []
    for author in Author.objects.order_by("pk"):  # <- queryset
        thick = author.books.filter(pages__gte=150, price__gt=1)
        report.append((author.name, sorted(b.title for b in thick)))  # <- here
    return report


@fixes(filtered, narrowed("books"))
def filtered_fixed():
    thick = Book.objects.filter(pages__gte=150, price__gt=1)
    authors = Author.objects.prefetch_related(Prefetch("books", queryset=thick)).order_by("pk")
    return [(author.name, sorted(b.title for b in author.books.all())) for author in authors]


def latest_of_each():
    newest = {}
    for author in Author.objects.all():  # <- queryset
        book = author.books.order_by("-pages").first()  # <- here
        newest[author.name] = book.title if book else None
    return newest


@fixes(latest_of_each, narrowed("books"), annotated("Subquery"))
def latest_of_each_fixed():
    ordered = Prefetch("books", queryset=Book.objects.order_by("-pages"), to_attr="ordered")
    newest = {}
    for author in Author.objects.prefetch_related(ordered):
        newest[author.name] = author.ordered[0].title if author.ordered else None
    return newest


def ids_of_each():
    stars = []
    for book in Book.objects.order_by("pk"):  # <- queryset
        stars.append(sum(book.reviews.values_list("stars", flat=True)))  # <- here
    return stars


@fixes(
    ids_of_each, annotated("Sum", "reviews"), narrowed("reviews"), read_whole("reviews"), GROUPED
)
def ids_of_each_fixed():
    books = Book.objects.annotate(sum=Sum("reviews__stars")).order_by("pk")
    return [book.sum or 0 for book in books]


def averages():
    def rating(book):
        return book.reviews.aggregate(mean=Avg("stars"))["mean"]  # <- here

    books = Book.objects.filter(audiobook=None).order_by("pk")  # <- queryset
    return [rating(book) for book in books]


@fixes(averages, annotated("Avg", "reviews"), GROUPED)
def averages_fixed():
    books = Book.objects.filter(audiobook=None).order_by("pk").annotate(mean=Avg("reviews__stars"))
    return [book.mean for book in books]


def behind_another_prefetch():
    readers = Reader.objects.prefetch_related("orders").order_by("pk")  # <- queryset
    return [
        (len(reader.orders.all()), [review.stars for review in reader.reviews.all()])  # <- here
        for reader in readers
    ]


@fixes(behind_another_prefetch, prefetch("reviews"))
def behind_another_prefetch_fixed():
    readers = Reader.objects.prefetch_related("orders", "reviews").order_by("pk")
    return [(len(r.orders.all()), [review.stars for review in r.reviews.all()]) for r in readers]


def top_one():
    best = {}
    for book in Book.objects.only("title"):  # <- queryset
        best[book.title] = [r.stars for r in book.reviews.order_by("-stars", "pk")[:1]]  # <- here
    return best


@fixes(top_one, narrowed("reviews"), annotated("Subquery|Max"))
def top_one_fixed():
    order = Prefetch("reviews", queryset=Review.objects.order_by("-stars", "pk"), to_attr="best")
    books = Book.objects.only("title").prefetch_related(order)
    return {book.title: [r.stars for r in book.best[:1]] for book in books}


def truth():
    busy = 0
    for p in Publisher.objects.filter(city__in=["Porto", "Graz"]):  # <- queryset
        if p.authors.all():  # <- here
            busy += 1
    return busy


@fixes(truth, prefetch("authors"), EXISTS)
def truth_fixed():
    publishers = Publisher.objects.filter(city__in=["Porto", "Graz"])
    return sum(1 for p in publishers.prefetch_related("authors") if p.authors.all())
