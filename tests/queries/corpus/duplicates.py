"""The same query with the same parameters again and again: no N+1, and still to be told."""

from functools import cached_property

from tests.library.helpers import setting
from tests.library.models import Author, Book, Publisher, Reader, Setting
from tests.queries.case import DUPLICATE, ONCE, fixes, prefetch

SAME = (DUPLICATE,)


def setting_in_loop():
    prices = []
    for price in Book.objects.order_by("pk").values_list("price", flat=True):
        limit = Setting.objects.get(key="limit").value  # <- here
        prices.append(min(price, int(limit)))
    return prices


@fixes(setting_in_loop, ONCE, kinds=SAME)
def setting_in_loop_fixed():
    limit = int(Setting.objects.get(key="limit").value)
    return [min(p, limit) for p in Book.objects.order_by("pk").values_list("price", flat=True)]


def same_count_in_loop():
    shares = []
    for author in Author.objects.order_by("pk"):
        share = author.books_sold / Book.objects.count()  # <- here
        shares.append(f"{share:.2f}")
    return shares


@fixes(same_count_in_loop, ONCE, kinds=SAME)
def same_count_in_loop_fixed():
    size = Book.objects.count()
    return [f"{a.books_sold / size:.2f}" for a in Author.objects.order_by("pk")]


class Basket:
    def __init__(self, reader):
        self.reader = reader

    @property
    def orders(self):
        return list(self.reader.orders.order_by("number"))  # <- here

    def summary(self):
        return len(self.orders), [order.status for order in self.orders], bool(self.orders)


class CachingBasket(Basket):
    @cached_property
    def orders(self):
        return list(self.reader.orders.order_by("number"))


def property_asked_thrice():
    return Basket(Reader.objects.earliest("pk")).summary()


@fixes(property_asked_thrice, ONCE, kinds=SAME, here=Basket)
def property_asked_thrice_fixed():
    return CachingBasket(Reader.objects.earliest("pk")).summary()


def related_again():
    publisher = Publisher.objects.earliest("pk")
    lines = []
    for city in ("Porto", "Graz", "Bern"):
        names = [author.name for author in publisher.authors.all()]  # <- here
        lines.append(f"{city}: {names}")
    return lines


@fixes(related_again, ONCE, prefetch("authors"), kinds=SAME)
def related_again_fixed():
    publisher = Publisher.objects.earliest("pk")
    names = [author.name for author in publisher.authors.all()]
    return [f"{city}: {names}" for city in ("Porto", "Graz", "Bern")]


def setting_helper_in_loop():
    """The helper is the place, or whoever calls it."""
    names = []
    for author in Author.objects.order_by("pk"):
        names.append(author.name[: int(setting("limit"))])
    return names


@fixes(setting_helper_in_loop, ONCE, kinds=SAME, here=setting)
def setting_helper_in_loop_fixed():
    limit = int(setting("limit"))
    return [author.name[:limit] for author in Author.objects.order_by("pk")]


def evaluated_again():
    books = Book.objects.filter(pages__gt=100)
    total = 0
    for _ in range(3):
        total += sum(book.pages for book in books.all())  # <- here
    return total


@fixes(evaluated_again, ONCE, kinds=SAME)
def evaluated_again_fixed():
    pages = sum(book.pages for book in Book.objects.filter(pages__gt=100))
    return 3 * pages
