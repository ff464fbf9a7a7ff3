"""From Django 6.1 on a fetch mode mends some kinds, too; it is named for those alone."""

import django
import pytest

from optimizer.queries import watch
from tests.library.filling import fill
from tests.library.models import Author, Book

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.mark.parametrize(("version", "named"), [((5, 2), False), ((6, 1), True)])
def test_the_mode_is_named_where_django_has_it(monkeypatch, version, named):
    fill(3)
    monkeypatch.setattr(django, "VERSION", (*version, 0, "final", 0))
    with watch() as findings:
        assert all(book.author.name for book in Book.objects.all())
    assert ("fetch_mode(models.FETCH_PEERS)" in findings[0].suggestion) == named
    assert 'select_related("author")' in findings[0].suggestion


def test_it_is_not_named_for_what_it_does_not_govern(monkeypatch):
    fill(3)
    monkeypatch.setattr(django, "VERSION", (6, 1, 0, "final", 0))
    with watch() as findings:
        assert any(list(author.books.all()) for author in Author.objects.all())
        assert [Book.objects.get(pk=pk) for pk in Book.objects.values_list("pk", flat=True)]
    assert {one.kind for one in findings} == {"n_plus_one"}
    assert not any("fetch_mode" in one.suggestion for one in findings)
