"""What Django and its apps do with a cache: pages, fragments, sessions, `get_or_set`."""

import time
from importlib import import_module

import pytest
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpResponse
from django.template import Context, Template
from django.views.decorators.cache import cache_page

FRAGMENT = "{% load cache %}{% cache 60 greeting name %}{{ name }} {{ count }}{% endcache %}"


def test_get_or_set_makes_a_value_once(any_cache):
    made = []

    def make():
        made.append(1)
        return "made"

    assert any_cache.get_or_set("k", make) == "made"
    assert any_cache.get_or_set("k", make) == "made"
    assert made == [1]
    assert any_cache.get_or_set("plain", "value") == "value"
    assert any_cache.get("plain") == "value"
    assert any_cache.get_or_set("plain", "other") == "value"
    with pytest.raises(TypeError):
        any_cache.get_or_set("no default")


def test_get_or_set_takes_none_versions_and_times_to_live(any_cache):
    assert any_cache.get_or_set("none", None) is None
    assert any_cache.get("none", "default") is None
    assert any_cache.get_or_set("k", "two", version=2) == "two"
    assert any_cache.get("k") is None
    assert any_cache.get_or_set("short", "a", timeout=0.2) == "a"
    time.sleep(0.25)
    assert any_cache.get_or_set("short", "b") == "b"
    assert any_cache.get_or_set("never", "a", timeout=0) == "a"
    assert "never" not in any_cache


def test_what_the_default_raises_is_raised_and_nothing_stored(any_cache):
    def fail():
        raise LookupError("no such bot")

    for _ in range(2):
        with pytest.raises(LookupError, match="no such bot"):
            any_cache.get_or_set("k", fail)
    assert "k" not in any_cache
    assert any_cache.get_or_set("k", 1) == 1


def test_a_template_fragment_is_rendered_once_for_each_of_what_it_varies_on(any_cache):
    template = Template(FRAGMENT)
    assert template.render(Context({"name": "Ann", "count": 1})) == "Ann 1"
    assert template.render(Context({"name": "Ann", "count": 2})) == "Ann 1"
    assert template.render(Context({"name": "Bob", "count": 3})) == "Bob 3"
    any_cache.delete(make_template_fragment_key("greeting", ["Ann"]))
    assert template.render(Context({"name": "Ann", "count": 4})) == "Ann 4"


def test_a_fragment_may_lie_in_any_cache(any_cache):
    text = FRAGMENT.replace("greeting name", 'greeting name using="default"')
    template = Template(text)
    assert template.render(Context({"name": "Ann", "count": 1})) == "Ann 1"
    assert template.render(Context({"name": "Ann", "count": 2})) == "Ann 1"


def test_a_page_is_made_once_for_each_address(any_cache, rf):
    made = []

    @cache_page(60)
    def view(request):
        made.append(request.get_full_path())
        return HttpResponse(f"page {len(made)}", headers={"X-Made": str(len(made))})

    first, again = view(rf.get("/p?a=1")), view(rf.get("/p?a=1"))
    assert (first.content, again.content) == (b"page 1", b"page 1")
    assert again["X-Made"] == "1"
    assert "max-age=60" in again["Cache-Control"]
    assert view(rf.get("/p?a=2")).content == b"page 2"
    assert view(rf.head("/p?a=1")).content in (b"page 1", b"")
    any_cache.clear()
    assert view(rf.get("/p?a=1")).content == b"page 3"


@pytest.mark.parametrize("engine_name", ["cache", "cached_db"])
def test_sessions_are_kept(any_cache, settings, engine_name):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine_name}"
    store = import_module(settings.SESSION_ENGINE).SessionStore
    session = store()
    session["user"] = {"id": 1}
    session.save()
    key = session.session_key
    again = store(session_key=key)
    assert again["user"] == {"id": 1}
    again["user"]["id"] = 2  # not saved
    assert store(session_key=key)["user"] == {"id": 1}
    again.save()
    assert store(session_key=key)["user"] == {"id": 2}
    again.flush()
    assert store(session_key=key).load() == {}
    assert not store(session_key=key).exists(key)
    with pytest.raises(Exception, match=r"session|Session|^$"):
        gone = store(session_key=key)
        gone.save(must_create=False)


def test_a_session_is_created_under_a_key_that_nobody_has(any_cache, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    store = import_module(settings.SESSION_ENGINE).SessionStore
    keys = set()
    for _ in range(20):
        session = store()
        session.create()
        keys.add(session.session_key)
    assert len(keys) == 20
    first = store(session_key=next(iter(keys)))
    old = first.session_key
    first["a"] = 1
    first.cycle_key()
    assert first.session_key != old
    assert not first.exists(old)
    assert store(session_key=first.session_key)["a"] == 1


def test_the_second_tier_must_be_a_django_redis_cache(settings):
    settings.CACHES = {**settings.CACHES, "odd": {**settings.CACHES["default"], "LOCATION": "no"}}
    with pytest.raises(Exception, match="must be the alias of a django-redis cache"):
        caches["odd"].get("k")
