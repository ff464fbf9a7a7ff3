"""Index advice on real tables: what it proposes is made, and the database then uses it."""

from contextlib import contextmanager

import pytest
from django.db import connection, models, transaction
from django.db.models import Count, Q
from django.db.transaction import TransactionManagementError

from optimizer.queries.services.indexes import advise_index
from tests.library.models import Author, Book, Shelfmark
from tests.queries.rows import NUMBERS, ROWS, advised, execute, index_of, library, sent

__all__ = ["library"]  # a fixture

pytestmark = pytest.mark.django_db(transaction=True)

BOOKS, AUTHORS = Book.objects, Author.objects
HELPED = {
    "equal": (BOOKS.filter(pages=3), ("pages",)),
    "list": (BOOKS.filter(pages__in=[1, 2]), ("pages",)),
    "list of OR": (BOOKS.filter(Q(pages=1) | Q(pages=2)), ("pages",)),
    "range": (BOOKS.filter(pages__range=(1, 3)), ("pages",)),
    "two bounds": (BOOKS.filter(pages__gt=1, pages__lt=3), ("pages",)),
    "narrowest of two": (BOOKS.filter(title="x", pages=3, price__gt=1), ("title",)),
    "equal and order": (BOOKS.filter(price=3).order_by("-pages")[:5], ("price", "-pages")),
    "order": (BOOKS.order_by("-pages")[:5], ("-pages",)),
    "order of a page": (BOOKS.order_by("pages", "title")[40:60], ("pages", "title")),
    "order within a join": (BOOKS.select_related("author").order_by("-pages")[:5], ("-pages",)),
    "order beyond a bound": (BOOKS.filter(pages__gt=7).order_by("pages")[:10], ("pages",)),
    "subquery": (AUTHORS.filter(pk__in=BOOKS.filter(title="x").values("author")), ("title",)),
}
LOOSE = "INSERT INTO loose SELECT i, i % 999 FROM n"
HEALTHY = {
    "all rows": BOOKS.all(),
    "count of all": BOOKS.values(n=Count("*")),
    "primary key": BOOKS.filter(pk=3),
    "order of the primary key": BOOKS.order_by("pk")[:5],
    "foreign key": BOOKS.filter(author=3),
    "order without a limit": BOOKS.order_by("pages"),
    "one of three values": AUTHORS.filter(books_sold=1),
    "one bound": BOOKS.filter(pages__gt=3),
    "OR": BOOKS.filter(Q(pages=1) | Q(title="x")),
    "NOT": BOOKS.exclude(pages=1),
    "the end of a text": BOOKS.filter(title__endswith="x"),
    "the begin of a text that is not known": BOOKS.filter(title__startswith="x"),
    "a function": BOOKS.annotate(u=models.F("pages") + 1).filter(u=3),
    "few rows to sort": BOOKS.filter(author=3).order_by("-pages")[:3],
    "what the order would meet late": BOOKS.filter(text__contains="x").order_by("-pages")[:5],
    "a small table": Shelfmark.objects.filter(mark="x"),
}


@contextmanager
def made(advice):
    """Paste the statement that is advised, and drop the index at the end."""
    execute(advice.statement, "ANALYZE")
    try:
        yield index_of(advice)
    finally:
        execute(f'DROP INDEX "{index_of(advice)}"')


def test_what_is_proposed_is_used_once_it_is_made(library):
    for name, (queryset, columns) in HELPED.items():
        advice = advised(sent(queryset))
        assert advice is not None, name
        if connection.vendor == "sqlite":
            assert (advice.verified, advice.columns) == ("rolled-back index", columns), name
            assert (advice.cost_before, advice.cost_after) == (None, None), name
        else:
            assert (advice.verified, advice.columns[0]) == ("HypoPG", columns[0]), name
            assert advice.cost_after <= advice.cost_before / 2, name
        assert len(index_of(advice)) <= 30, name
        assert index_of(advice) not in queryset.explain(), name
        with made(advice) as index:
            assert index in queryset.explain(), name  # with its real values
            assert advise_index("default", sent(queryset)) is None, name


def test_what_needs_no_index_gets_none(library):
    proposed = {name: advise_index("default", sent(one)) for name, one in HEALTHY.items()}
    assert {name: one.columns for name, one in proposed.items() if one is not None} == {}


def test_it_says_it_as_a_line_of_the_models_meta(library):
    pages = advised(sent(BOOKS.filter(price=3).order_by("-pages")[:5]))
    assert pages.model_label == "library.Book"
    assert pages.meta_line == (
        f'models.Index(fields=["price", "-pages"], name="{index_of(pages)}")'
    )
    written = eval(pages.meta_line, {"models": models})  # noqa: S307  # as one pastes it
    editor = connection.schema_editor(collect_sql=True)
    made_by_django = str(written.create_sql(Book, editor))
    assert made_by_django == pages.statement.replace("CONCURRENTLY ", "").rstrip(";")
    execute("CREATE TABLE loose (id bigint PRIMARY KEY, kind bigint)")
    try:
        execute(f"{NUMBERS} {LOOSE}", "ANALYZE loose")
        loose = advised("SELECT id FROM loose WHERE kind = %s")
    finally:
        execute("DROP TABLE loose")
    assert loose.columns == ("kind",)
    assert (loose.meta_line, loose.model_label) == ("", "")


def test_writes_are_advised_on_and_never_carried_out(library):
    for sql in (
        "DELETE FROM library_book WHERE pages = %s",
        "UPDATE library_book SET price = 0 WHERE pages = %s",
        "UPDATE library_book SET price = 0 WHERE pages = 3 AND text LIKE '%%ext'",
        "DELETE FROM library_book WHERE pages = 3",
    ):
        advice = advised(sql)
        assert advice is not None and advice.columns == ("pages",), sql
    assert execute("SELECT count(*), sum(price) FROM library_book") == [(ROWS, 2 * ROWS)]


REFUSED = (
    "INSERT INTO library_book SELECT * FROM library_book",
    "SELECT 1; DELETE FROM library_book",
    "SELECT id FROM library_book WHERE pages = 3; DELETE FROM library_book WHERE pages = 3",
    "DROP TABLE library_book",
    "EXPLAIN ANALYZE DELETE FROM library_book",
    "WITH gone AS (DELETE FROM library_book RETURNING id) INSERT INTO library_tag SELECT 1",
    "SELECT id FROM no_such_table WHERE pages = %s",
    "SELECT nothing FROM library_book WHERE pages = %s",
    "SELECT id FROM library_book WHERE pages = = %s",
    "SELECT id FROM library_book WHERE nothing = %s",
    "SELECT %s FROM library_book WHERE (",
    "",
    "SELECT",
    "VACUUM",
)


def test_what_is_no_plain_statement_is_refused(library):
    assert {sql: advise_index("default", sql) for sql in REFUSED} == dict.fromkeys(REFUSED)
    assert execute("SELECT count(*) FROM library_book") == [(ROWS,)]


def test_within_a_transaction_it_is_refused():
    with transaction.atomic(), pytest.raises(TransactionManagementError):
        advise_index("default", "SELECT id FROM library_book WHERE pages = %s")


def test_writes_that_outnumber_reads_ask_for_more_gain(library):
    some = sent(BOOKS.filter(pages__range=(1, 3)))  # saves less than 90 %
    much = sent(BOOKS.filter(title="x"))
    assert advise_index("default", some, write_share=0.5) is not None
    assert advise_index("default", some, write_share=0.51) is None
    assert "60% of the statements on it are writes" in (advised(much, write_share=0.6).reason)


def test_it_says_which_index_becomes_superfluous(library):
    execute("CREATE INDEX narrow ON library_book (price)", "ANALYZE library_book")
    try:
        advice = advised(sent(BOOKS.filter(price=3).order_by("-pages")[:5]))
    finally:
        execute("DROP INDEX narrow")
    assert advice.columns == ("price", "-pages")
    assert advice.drops == ("narrow",)
    assert "narrow" in advice.reason
