"""The pytest plugin, in another project and another process."""

import json
import re

import pytest

from tests.queries import small_project

pytestmark = pytest.mark.any_database

CHOSEN = """
    import unittest

    import django.test
    import pytest

    from shop import meant, queries
    from shop.models import Author, Book

    def test_fixture(books, no_n_plus_one):
        queries.names()

    @pytest.mark.no_n_plus_one
    def test_marker(books):
        queries.names()

    def test_view(books, client, no_n_plus_one):
        assert client.get("/names").status_code == 200

    def test_views_one_by_one(books, client, no_n_plus_one):
        for _ in range(3):
            client.get("/missing")
            queries.joined()

    def test_joined(books, no_n_plus_one):
        queries.joined()

    def test_set_up_within(request, db, no_n_plus_one):
        request.getfixturevalue("books")
        queries.joined()

    @pytest.mark.no_n_plus_one(threshold=4)
    def test_threshold(books):
        queries.names()

    @pytest.mark.no_n_plus_one(ignore=["shop/qu*.py"])
    def test_ignored(books):
        queries.names()

    def test_ignored_by_ini(books, no_n_plus_one):
        meant.names()

    @pytest.mark.no_n_plus_one(limit=4)
    def test_misspelt(books):
        pass

    def test_own_error(books, no_n_plus_one):
        queries.names()
        assert "mine" == "its own"

    def test_skips(books, no_n_plus_one):
        queries.names()
        pytest.skip("for a reason")

    @pytest.mark.xfail
    def test_expected(books, no_n_plus_one):
        queries.names()

    def test_writes(db, no_n_plus_one):
        for at in range(3):
            Author.objects.create(name=str(at))

    def test_same(books, no_n_plus_one):
        queries.same()

    def test_unwatched(books):
        queries.names()

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(no_n_plus_one, transactional_db):
        for at in range(3):
            author = await Author.objects.acreate(name=str(at))
            await Book.objects.acreate(author=author)

    @pytest.fixture
    async def later_books(transactional_db):
        for at in range(3):
            author = await Author.objects.acreate(name=str(at))
            await Book.objects.acreate(author=author)
        yield

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async_fixture(no_n_plus_one, later_books):
        await queries.names_async()

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async_joined(no_n_plus_one, later_books):
        assert len([book async for book in Book.objects.select_related("author")]) == 3

    @pytest.mark.no_n_plus_one
    class ClassTests(django.test.TestCase):
        def setUp(self):
            for at in range(3):
                Book.objects.create(author=Author.objects.create(name=str(at)))

        def test_healthy(self):
            queries.joined()

        def test_loop(self):
            queries.names()

        def test_error(self):
            queries.names()
            self.fail("its own")

        async def test_coroutine(self):
            await queries.names_async()
"""
PASSED = {
    "test_views_one_by_one", "test_joined", "test_set_up_within", "test_threshold", "test_ignored",
    "test_ignored_by_ini", "test_same", "test_unwatched", "test_healthy", "test_async_joined",
}  # fmt: skip
FOUND = {"test_fixture", "test_marker", "test_view", "test_writes", "test_async", "test_loop",
         "test_coroutine", "test_async_fixture"}  # fmt: skip
OWN = {"test_own_error", "test_error"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return small_project.write(
        tmp_path_factory.mktemp("project"),
        test_chosen=CHOSEN,
        test_all="""
            from shop import queries

            def test_names(books):
                queries.names()

            def test_same(books):
                queries.same()

            def test_joined(books):
                queries.joined()
        """,
    )


@pytest.fixture(scope="module")
def chosen(project):
    code, told = small_project.run_pytest(project, "-rA", "test_chosen.py")
    assert code == 1, told
    return told


def outcomes(told, word):
    """Return the names of tests with an outcome, of the summary's lines."""
    return set(re.findall(rf"^{word} \S*::(\w+)", told, re.MULTILINE))


def section(told, name):
    """Return what is said of one test that failed."""
    return re.split(r"\n_{3,} ", told.split(f" {name} ___")[1])[0]


def test_who_repeats_queries_fails_and_nobody_else(chosen):
    assert outcomes(chosen, "PASSED") == PASSED
    assert outcomes(chosen, "FAILED") == {*FOUND, *OWN, "test_misspelt"}
    assert outcomes(chosen, "XFAIL") == {"test_expected"}
    assert "for a reason" in chosen
    assert "ERROR" not in chosen


def test_the_report_says_where_and_how_to_mend_it(chosen):
    for name in ("test_fixture", "test_view"):
        told = section(chosen, name)
        assert "n_plus_one  shop/queries.py:4  3 times" in told
        assert 'fix: select_related("author")' in told
        assert "SQL: SELECT " in told
    assert "bulk_create" in section(chosen, "test_writes")
    assert "shop/queries.py:7" in section(chosen, "ClassTests.test_coroutine")
    assert "takes threshold=… and ignore=[…]" in section(chosen, "test_misspelt")


def test_a_tests_own_error_is_not_hidden(chosen):
    for name in ("test_own_error", "ClassTests.test_error"):
        told = section(chosen, name)
        assert "its own" in told
        assert "Queries repeat" not in told


def test_what_does_not_fail_is_a_section(chosen):
    assert re.search(r"-+ Captured queries call -+\nAlso found:\n  duplicate  shop/queries", chosen)


def test_all_tests_on_two_processes(project):
    code, told = small_project.run_pytest(
        project, "-n2", "--fail-on-n-plus-one", "--n-plus-one-json=found.json", "test_all.py"
    )
    assert code == 1
    assert "1 failed, 2 passed" in told
    found = json.loads((project / "found.json").read_text())
    assert (found["version"], found["tests"]) == (1, 3)
    kinds = {one["units"][0]: one["kind"] for one in found["findings"]}
    assert kinds == {
        "test_all.py::test_names": "n_plus_one",
        "test_all.py::test_same": "duplicate",
    }


def test_a_threshold_has_a_range(project):
    code, told = small_project.run_pytest(project, "--n-plus-one-threshold=1")
    assert code == 4
    assert "must be 2 or more" in told
