"""What is read from a statement's text: its shape, and whether it is a batch or a page."""

import pytest

from optimizer.queries.engine.fingerprint import shape_of

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT * FROM "t" WHERE "t"."id" > %s ORDER BY "t"."id" ASC LIMIT 4',
        'SELECT * FROM "t" WHERE ("t"."id" > %s AND "t"."kind" = %s) ORDER BY "t"."id" ASC LIMIT 4',
        "SELECT id, title FROM t WHERE id > %s ORDER BY id LIMIT 4",
        'SELECT * FROM "t" WHERE "t"."id" > %s ORDER BY "t"."id" ASC',  # what is new since
        'SELECT * FROM "t" ORDER BY "t"."id" ASC LIMIT 4 OFFSET 8',
    ],
)
def test_a_page(sql):
    assert shape_of(sql).is_page


@pytest.mark.parametrize(
    "sql",
    [
        # Django's get(), which limits what it reads to tell one row from several.
        'SELECT * FROM "t" WHERE ("t"."months" > %s AND "t"."reader_id" = %s) LIMIT 21',
        'SELECT * FROM "t" WHERE "t"."pages" > %s ORDER BY "t"."pages_read" ASC LIMIT 3',
        'SELECT * FROM "t" WHERE ("t"."a_id" = %s AND "t"."pages" > %s) ORDER BY "t"."pages" ASC',
        'SELECT * FROM "t" WHERE "t"."pages" > %s ORDER BY "t"."pages" ASC LIMIT 1',
        'SELECT * FROM "t" WHERE "t"."pages" > %s',
    ],
)
def test_no_page(sql):
    assert not shape_of(sql).is_page


def test_alternatives_of_one_column_are_a_batch_of_any_length():
    one = '"t"."id" = %s'
    two, four = (
        shape_of('SELECT * FROM "t" WHERE (' + " OR ".join([one] * count) + ")")  # noqa: S608
        for count in (2, 4)
    )
    assert two.is_batch
    assert two.fingerprint == four.fingerprint
    assert not shape_of('SELECT * FROM "t" WHERE ("t"."a" = %s OR "t"."b" = %s)').is_batch


def test_keys_of_rows_are_a_batch():
    two = shape_of('SELECT * FROM "t" WHERE ("t"."id") IN ((%s), (%s))')
    three = shape_of('SELECT * FROM "t" WHERE ("t"."id") IN ((%s), (%s), (%s))')
    assert two.is_batch
    assert two.fingerprint == three.fingerprint
    assert shape_of('SELECT * FROM "t" WHERE ("t"."a", "t"."b") IN ((%s, %s), (%s, %s))').is_batch
    assert not shape_of('SELECT * FROM "t" WHERE ("t"."id") IN ((%s))').is_batch


def test_a_subquery_is_no_list():
    sql = 'SELECT * FROM "t" WHERE "t"."id" IN (SELECT U0."t_id" FROM "u" U0 WHERE U0."k" = %s)'
    assert not shape_of(sql).is_batch
