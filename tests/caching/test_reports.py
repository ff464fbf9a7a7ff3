"""A process that uses the cache tells what it counts, with nothing else that would make it."""

import json

import pytest

from caching import selectors
from tests.caching.support import eventually
from tests.children import children

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

USER = """
from django.core.cache import cache
cache.set("a", 1)
for _ in range(10):
    cache.get("a")
print("used")
input()
"""


def test_a_process_that_only_uses_the_cache_is_seen_by_others():
    with children(1, USER) as (child,):
        child.read_until("used", 60)
        eventually(lambda: child.process.pid in {one.pid for one in selectors.overview().processes})
        found = selectors.stats()
    assert json.loads(json.dumps(found))["namespaces"]["default"]["writes"] >= 1
    assert found["total"]["reads"] >= 10
