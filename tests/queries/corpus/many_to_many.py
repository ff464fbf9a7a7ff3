"""Many-to-many relations, from both sides."""

from django.db.models import Count, Prefetch, Sum

from tests.library.helpers import tag_names
from tests.library.models import Author, Book, CheapBook, Shop, Stock, Tag
from tests.queries.case import GROUPED, annotated, fixes, join, narrowed, prefetch, read_whole


def forward_loop():
    found = {}
    for book in Book.objects.all():  # <- queryset
        found[book.title] = {tag.name for tag in book.tags.all()}  # <- here
    return found


@fixes(forward_loop, prefetch("tags"))
def forward_loop_fixed():
    books = Book.objects.prefetch_related("tags")
    return {book.title: {tag.name for tag in book.tags.all()} for book in books}


def reverse_loop():
    found = []
    for tag in Tag.objects.order_by("name"):  # <- queryset
        found += [f"{tag}/{book}" for book in tag.books.all()]  # <- here
    return sorted(found)


@fixes(reverse_loop, prefetch("books"))
def reverse_loop_fixed():
    tags = Tag.objects.prefetch_related("books")
    return sorted(f"{tag}/{book}" for tag in tags for book in tag.books.all())


def in_helper():
    books = Book.objects.filter(pages__gt=0).select_related("author")  # <- queryset
    return {f"{book} {book.author}": tag_names(book) for book in books}


@fixes(in_helper, prefetch("tags"), here=tag_names)
def in_helper_fixed():
    books = Book.objects.filter(pages__gt=0).select_related("author").prefetch_related("tags")
    return {f"{book} {book.author}": tag_names(book) for book in books}


def in_method_of_proxy():
    return [book.label() for book in CheapBook.objects.order_by("pk")]  # <- queryset


@fixes(in_method_of_proxy, prefetch("tags"), here=Book.label)
def in_method_of_proxy_fixed():
    return [book.label() for book in CheapBook.objects.order_by("pk").prefetch_related("tags")]


def with_through_table():
    where = []
    for book in Book.objects.order_by("title"):  # <- queryset
        shops = book.shops.all()
        where.append([shop.name for shop in shops])  # <- here
    return where


@fixes(with_through_table, prefetch("shops"))
def with_through_table_fixed():
    books = Book.objects.order_by("title").prefetch_related("shops")
    return [[shop.name for shop in book.shops.all()] for book in books]


def rows_of_the_through_table():
    stock = {}
    for shop in Shop.objects.defer("address"):  # <- queryset
        stock[shop.name] = sum(row.amount for row in shop.stock_set.all())  # <- here
    return stock


@fixes(rows_of_the_through_table, prefetch("stock_set"), annotated("Sum", "stock"))
def rows_of_the_through_table_fixed():
    shops = Shop.objects.annotate(sum=Sum("stock__amount"))
    return {shop.name: shop.sum for shop in shops}


def count_of_each():
    return sorted(
        (tag.books.count(), tag.name)  # <- here
        for tag in Tag.objects.all()  # <- queryset
    )


@fixes(count_of_each, annotated("Count", "books"), prefetch("books"))
def count_of_each_fixed():
    return sorted((tag.n, tag.name) for tag in Tag.objects.annotate(n=Count("books")))


def filtered():
    chosen = {}
    for shop in Shop.objects.order_by("pk"):  # <- queryset
        chosen[shop.name] = [b.title for b in shop.books.filter(pages__lt=150)]  # <- here
    return chosen


@fixes(filtered, narrowed("books"))
def filtered_fixed():
    thin = Prefetch("books", queryset=Book.objects.filter(pages__lt=150), to_attr="thin")
    shops = Shop.objects.prefetch_related(thin).order_by("pk")
    return {shop.name: [b.title for b in shop.thin] for shop in shops}


def names_only():
    rows = []
    for b in Book.objects.only("title", "pages").order_by("pk"):  # <- queryset
        names = b.tags.values_list("name", flat=True)
        rows.append(b.title + ":" + ",".join(sorted(names)))  # <- here
    return rows


@fixes(names_only, narrowed("tags"), read_whole("tags"), GROUPED)
def names_only_fixed():
    rows = []
    for b in Book.objects.only("title", "pages").order_by("pk").prefetch_related("tags"):
        rows.append(b.title + ":" + ",".join(sorted(tag.name for tag in b.tags.all())))
    return rows


def membership():
    tag = Tag.objects.order_by("pk").first()
    books = Book.objects.order_by("pk")  # <- queryset
    return [book.title for book in books if tag in book.tags.all()]  # <- here


@fixes(membership, prefetch("tags"))
def membership_fixed():
    tag = Tag.objects.order_by("pk").first()
    books = Book.objects.order_by("pk").prefetch_related("tags")
    return [book.title for book in books if tag in book.tags.all()]


def tags_of_books_of_authors():
    tags: dict[str, set[str]] = {}
    for author in Author.objects.prefetch_related("books"):  # <- queryset
        for book in author.books.all():
            for tag in book.tags.all():  # <- here
                tags.setdefault(author.name, set()).add(tag.name)
    return tags


@fixes(tags_of_books_of_authors, prefetch("books__tags"))
def tags_of_books_of_authors_fixed():
    return {
        author.name: {tag.name for book in author.books.all() for tag in book.tags.all()}
        for author in Author.objects.prefetch_related("books__tags")
    }


def shops_of_stock():
    return {
        (row.book.title, row.shop.name)  # <- here
        for row in Stock.objects.select_related("book").filter(amount__gt=0)  # <- queryset
    }


@fixes(shops_of_stock, join("shop"))
def shops_of_stock_fixed():
    rows = Stock.objects.select_related("book", "shop").filter(amount__gt=0)
    return {(row.book.title, row.shop.name) for row in rows}
