"""The self-checks pass on a system that is well, and fail on one that is not."""

import pytest

from caching import verify
from caching.decorators import tiered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.mark.parametrize("check", verify.CHECKS, ids=lambda one: one.name)
def test_a_system_that_is_well_passes(check):
    assert check.run()


@pytest.mark.usefixtures("cache_away")
def test_without_redis_what_needs_it_fails():
    with pytest.raises(AssertionError):
        verify.forgets_what_was_invalidated()
    with pytest.raises(AssertionError, match="away"):
        verify.refuses_what_is_forged()


def test_a_redis_that_evicts_anything_is_told(own_redis):
    tiered().engine.link.call(lambda r: r.config_set("maxmemory-policy", "allkeys-lru"))
    with pytest.raises(AssertionError, match="allkeys-lru"):
        verify.keeps_its_generations()
