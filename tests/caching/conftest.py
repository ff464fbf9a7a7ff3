"""A namespace row for each way to cache: both tiers, or one of them."""

import pytest
from django.core.cache import cache as default_cache

TIERS = {"both": {}, "l1 off": {"l1": False}, "l2 off": {"l2": False}}


@pytest.fixture
def engine(redis, transactional_db):
    """This process's engine, over an empty Redis, hearing the news."""
    from tests.caching.support import hearing  # which needs the settings

    return hearing()


@pytest.fixture
def cache(engine):
    """The default cache, as the settings give it."""
    return default_cache


@pytest.fixture(params=TIERS)
def any_cache(request, redis, transactional_db, settings):
    """The default cache with both tiers, and with each one alone.

    A busy machine must not look like a lost Redis: with the line go the values of one tier alone.
    """
    from caching.models import CachingSettings, Namespace
    from tests.caching.support import hearing

    settings.REDIS_TIMEOUT_SECONDS = 5.0
    CachingSettings(max_staleness_seconds=60.0).save()
    if TIERS[request.param]:
        Namespace.objects.create(name="default", **TIERS[request.param])
    hearing()
    return default_cache


@pytest.fixture
def space(redis, transactional_db):
    """Make a namespace with these settings, whose keys begin with `s:`; it gives what it counts."""
    from caching.models import Namespace
    from tests.caching.support import hearing

    def make(**settings):
        Namespace.objects.create(name="s", prefix="s:", **settings)
        counts = hearing().cache.spaces.by_name["s"].counts
        before = {name: int(one) for name, one in counts.items()}
        return lambda name: int(counts[name]) - before[name]  # what it has counted since

    return make


@pytest.fixture
def own_redis(tmp_path, transactional_db, settings):
    """A Redis for the caches alone, that this process uses too and that may fail."""
    from caching.services import engines
    from tests.caching.support import server

    with server(tmp_path) as one:
        settings.CACHES = {
            name: {**given, "LOCATION": one.url} if name != "default" else given
            for name, given in settings.CACHES.items()
        }
        yield one
        engines.stop_all()


@pytest.fixture
def cache_away(settings):
    """Point the second tier at a port where nobody listens."""
    from caching.services import engines

    redis = {**settings.CACHES["redis"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {**settings.CACHES, "redis": redis}
    engines.stop_all()
    yield
    engines.stop_all()


@pytest.fixture
def users():
    from caching.models import Namespace

    return Namespace.objects.create(name="user", prefix="user:", codec="json", ttl_seconds=100)
