"""Generic relations, rows between two tables, and the same question asked again."""

# mypy: disable-error-code="union-attr"

from django import forms
from django.db.models import Prefetch, Subquery

from tests.library.models import Book, Note, Shop, Stock
from tests.library.press import Article, Byline, Plan, Section
from tests.queries.case import (
    BATCH,
    DUPLICATE,
    GROUPED,
    ONCE,
    Fix,
    annotated,
    fixes,
    join,
    narrowed,
    prefetch,
    read_whole,
)


def behind_a_generic_target():
    lines = []
    for note in Note.objects.prefetch_related("target").order_by("pk"):  # <- queryset
        lines.append(f"{note.text}: {note.target.author.name}")  # <- here
    return lines


@fixes(behind_a_generic_target, prefetch("target__author"), Fix(r"GenericPrefetch\("))
def behind_a_generic_target_fixed():
    notes = Note.objects.prefetch_related("target__author").order_by("pk")
    return [f"{note.text}: {note.target.author.name}" for note in notes]


def object_for_each_type():
    titles = []
    for note in Note.objects.select_related("content_type").order_by("-pk"):  # <- queryset
        book = note.content_type.get_object_for_this_type(pk=note.object_id)  # <- here
        titles.append(str(book))
    return titles


@fixes(object_for_each_type, prefetch("target"), BATCH)
def object_for_each_type_fixed():
    notes = Note.objects.prefetch_related("target").order_by("-pk")
    return [str(note.target) for note in notes]


def first_note_of_each():
    notes = {}
    for book in Book.objects.filter(audiobook=None).order_by("pk"):  # <- queryset
        notes[book.title] = book.notes.first().text  # <- here
    return notes


@fixes(first_note_of_each, narrowed("notes"), annotated("Subquery"), read_whole("notes"))
def first_note_of_each_fixed():
    books = Book.objects.filter(audiobook=None).order_by("pk").prefetch_related("notes")
    return {book.title: min(book.notes.all(), key=lambda n: n.pk).text for book in books}


def generic_behind_a_join():
    counts = []
    for stock in Stock.objects.select_related("book").order_by("amount"):  # <- queryset
        counts.append([note.text for note in stock.book.notes.all()])  # <- here
    return counts


@fixes(generic_behind_a_join, prefetch("book__notes"))
def generic_behind_a_join_fixed():
    rows = Stock.objects.select_related("book").prefetch_related("book__notes").order_by("amount")
    return [[note.text for note in stock.book.notes.all()] for stock in rows]


def between_two_tables():
    shelves: dict[str, int] = {}
    for stock in Stock.objects.order_by("pk"):  # <- queryset
        shelves[stock.shop.name] = shelves.get(stock.shop.name, 0) + stock.amount  # <- here
    return shelves


@fixes(between_two_tables, join("shop"))
def between_two_tables_fixed():
    shelves: dict[str, int] = {}
    for stock in Stock.objects.select_related("shop").order_by("pk"):
        shelves[stock.shop.name] = shelves.get(stock.shop.name, 0) + stock.amount
    return shelves


def through_rows_of_each():
    roles = {}
    for article in Article.objects.order_by("number"):  # <- queryset
        pairs = article.bylines.select_related("author").order_by("-position")
        roles[article.number] = [(b.role, b.author.name) for b in pairs]  # <- here
    return roles


@fixes(through_rows_of_each, narrowed("bylines"))
def through_rows_of_each_fixed():
    bylines = Byline.objects.select_related("author").order_by("-position")
    articles = Article.objects.order_by("number").prefetch_related(Prefetch("bylines", bylines))
    return {a.number: [(b.role, b.author.name) for b in a.bylines.all()] for a in articles}


def extra_field_of_each_pair():
    amounts = []
    for shop in Shop.objects.order_by("pk"):  # <- queryset
        for book in shop.books.all():  # <- here
            stock = Stock.objects.get(shop=shop, book=book)  # <- here
            amounts.append(stock.amount)
    return sorted(amounts)


@fixes(
    extra_field_of_each_pair,
    prefetch("books"),
    prefetch("stock_set(__book)?"),
    prefetch("books__stock_set"),
    BATCH,
)
def extra_field_of_each_pair_fixed():
    shops = Shop.objects.prefetch_related("stock_set").order_by("pk")
    return sorted(stock.amount for shop in shops for stock in shop.stock_set.all())


def highest_price_of_each():
    found = []
    for section in Section.objects.order_by("pk"):  # <- queryset
        writers = section.articles.filter(bylines__position=0).values("bylines__author")
        books = Book.objects.filter(author__in=Subquery(writers)).order_by("-price")
        found.append((section.slug, float(books[0].price)))  # <- here
    return found


@fixes(
    highest_price_of_each,
    GROUPED,
    Fix(r"in_bulk\(|__in=\["),
    annotated("Max|Subquery"),
)
def highest_price_of_each_fixed():
    best: dict[str, float] = {}
    bylines = Byline.objects.filter(position=0).select_related("article")
    for byline in bylines.prefetch_related("author__books"):
        prices = [float(book.price) for book in byline.author.books.all()]
        slug = byline.article.section_id
        best[slug] = max([best.get(slug, 0), *prices])
    return sorted(best.items())


class PlanForm(forms.Form):
    plan = forms.ModelChoiceField(Plan.objects.order_by("code"))


def choices_of_each_form():
    """Each form of the set asks for the same choices."""
    forms_ = forms.formset_factory(PlanForm, extra=4)()
    return forms_.as_p().count("plan 1")  # <- here


@fixes(choices_of_each_form, ONCE, kinds=(DUPLICATE,))
def choices_of_each_form_fixed():
    choices = [(plan.pk, str(plan)) for plan in Plan.objects.order_by("code")]
    return sum(str(label).count("plan 1") for _ in range(4) for _, label in choices)


def shared_key():
    """Every row points at the same one, and each loads it anew."""
    Article.objects.update(photographer=Section.objects.earliest("pk").head)
    articles = Article.objects.order_by("number")
    return [article.photographer.name for article in articles]  # <- here


@fixes(shared_key, ONCE, join("photographer"), kinds=(DUPLICATE,))
def shared_key_fixed():
    Article.objects.update(photographer=Section.objects.earliest("pk").head)
    articles = Article.objects.select_related("photographer").order_by("number")
    return [article.photographer.name for article in articles]
