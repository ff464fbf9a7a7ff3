"""One product for the whole runbook, on a PostgreSQL and a Redis of its own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings

from optimizer.operations.private_postgres import find_binaries, private_postgres
from tests.runbook import book
from tests.runbook.product import Product


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    binaries = find_binaries()
    if binaries is None:
        says = "PostgreSQL is not installed: apt-get install postgresql"
        pytest.fail(says) if settings.CI else pytest.skip(says)
    with private_postgres(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def product(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running product, started by the first command of the section Start."""
    folder: Path = tmp_path_factory.mktemp("runbook")
    one = Product(folder, database_url)
    with ExitStack() as stack:
        stack.callback(one.end)
        one.start(book.of("Start")[0])
        yield one


class Section:
    """The commands of one section; each has to be run."""

    def __init__(self, title: str, product: Product) -> None:
        self.title, self.product = title, product
        self.left = {one.number: one for one in book.of(title)}

    def run(self, number: int, *, code: int = 0, typed: str = "", **environment: str) -> str:
        """Run a command block of the section; return what it prints."""
        return self.product.run(self.take(number), code=code, typed=typed, **environment)

    def take(self, number: int) -> book.Block:
        return self.left.pop(number)


@pytest.fixture
def section(request: pytest.FixtureRequest, product: Product) -> Iterator[Section]:
    assert product.is_running, "an earlier test has left no product"
    one = Section(request.function.section, product)
    yield one
    assert not one.left, f"the test of “{one.title}” leaves out {sorted(one.left)}"
