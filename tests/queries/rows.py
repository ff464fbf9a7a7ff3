"""Rows enough for an index to matter, in the sample library."""

import pytest
from django.db import connection

from optimizer.queries.services.indexes import advise_index

ROWS = 20_000
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
FILL = (
    "INSERT INTO library_language (id, name, code) SELECT 1, 'English', 'en'",
    "INSERT INTO library_publisher (id, name, city) SELECT 1, 'House', 'here'",
    "INSERT INTO library_author (id, name, publisher_id, language_id, active, books_sold) "
    "SELECT i, 'name ' || i, 1, 'en', TRUE, i % 3 FROM n WHERE i <= 2000",
    "INSERT INTO library_book (id, title, author_id, editor_id, pages, price, text) "
    "SELECT i, 'title ' || i, i % 2000 + 1, i % 2 + 1, i % 1000, i % 5, 'text' FROM n",
)


def execute(*statements):
    """Run statements as they are, and return the rows of the last."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def sent(queryset):
    """Return the statement as Django sends it."""
    return queryset.query.sql_with_params()[0]


def advised(sql, **options):
    """Return the index advice on a statement, which there must be."""
    advice = advise_index("default", sql, **options)
    assert advice is not None
    return advice


def index_of(advice):
    """Return what an index is called in the statement that makes it."""
    return advice.statement.split('"')[1]


@pytest.fixture
def library():
    execute(*(NUMBERS + one for one in FILL), "ANALYZE")
    if connection.vendor == "postgresql":
        execute("CREATE EXTENSION IF NOT EXISTS hypopg")
