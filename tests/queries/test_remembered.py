"""A function that keeps its answers is no loop, but a loop inside one is."""

from functools import lru_cache

import pytest

from optimizer.queries import watch
from tests.library.filling import fill
from tests.library.models import Author, Publisher

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


class Houses:
    @staticmethod
    @lru_cache(maxsize=100)
    def city(pk: int) -> str:
        return _city(pk)


def _city(pk: int) -> str:
    return Publisher.objects.get(pk=pk).city


@lru_cache(maxsize=1)
def cities_in_a_loop() -> list[str]:
    cities = []
    for pk in list(Publisher.objects.values_list("pk", flat=True)):
        cities.append(_city(pk))
    return cities


@lru_cache(maxsize=1)
def cities_in_a_comprehension() -> list[str]:
    return [author.publisher.city for author in Author.objects.all()]


def kinds(function) -> set[str]:
    with watch() as found:
        function()
    return {one.kind for one in found}


def test_a_loop_that_calls_it_is_asked_about():
    fill(3)
    keys = list(Publisher.objects.values_list("pk", flat=True))
    assert kinds(lambda: [Houses.city(pk) for pk in keys]) == {"review"}
    assert kinds(lambda: [_city(pk) for pk in keys]) == {"n_plus_one"}


@pytest.mark.parametrize("function", [cities_in_a_loop, cities_in_a_comprehension])
def test_a_loop_inside_it_is_found(function):
    fill(3)
    function.cache_clear()
    assert kinds(function) == {"n_plus_one"}
