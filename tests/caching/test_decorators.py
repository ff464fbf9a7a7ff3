"""`cached` and `cached_view`: whose result and whose page it is."""

import asyncio
import time
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.translation import get_language, override

from caching import cached, cached_view
from config import urls
from tests.caching.support import eventually

calls: list[str] = []


def answer(request, **headers):
    calls.append(request.path)
    return HttpResponse(str(len(calls)), headers=headers)


@cached_view("pages")
def plain(request):
    return answer(request, Vary="Accept-Language")


@cached_view("pages")
def varies(request):
    return answer(request, Vary="Accept")


@cached_view("pages", vary=lambda request: request.headers.get("Accept", ""))
def varies_by_key(request):
    return answer(request, Vary="Accept")


@cached_view("pages")
def private(request):
    return answer(request, **{"Cache-Control": "Private"})


@cached_view("pages")
def with_token(request):
    return HttpResponse(get_token(request))


@cached_view("pages")
def with_session(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@cached_view("pages")
async def of_user(request):
    calls.append(request.path)
    return HttpResponse((await request.auser()).username or "nobody")


@cached_view("pages")
async def rendered(request):
    template = engines["django"].from_string("{{ users.count }}")
    return TemplateResponse(request, template, {"users": get_user_model().objects})


VIEWS = (plain, varies, varies_by_key, private, with_token, with_session, of_user, rendered)
urlpatterns = [*urls.urlpatterns, *(path(view.__name__, view) for view in VIEWS)]
on_these_addresses = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def asked_twice(address, **headers):
    return [Client(headers=headers).get(address).content for _ in range(2)]


@on_these_addresses
def test_a_page_is_made_once_for_all(engine):
    first, second = asked_twice("/plain")
    assert first == second


@on_these_addresses
def test_a_page_that_varies_by_what_the_key_has_not_is_not_kept(engine):
    first, second = asked_twice("/varies")
    assert first != second
    first, second = asked_twice("/varies_by_key", accept="text/html")
    assert first == second
    assert asked_twice("/varies_by_key", accept="text/plain") != [first, second]
    first, second = asked_twice("/private")
    assert first != second


@on_these_addresses
@pytest.mark.parametrize("address", ["/with_token", "/with_session"])
def test_a_page_that_belongs_to_a_visitor_is_given_to_no_other(engine, address):
    visitor, other = Client(), Client()
    first, second, of_other = (one.get(address) for one in (visitor, visitor, other))
    assert other.cookies  # so the other one has a token, or a session, of its own
    assert first.content != second.content
    assert (of_other.content == first.content) is (address == "/with_session")


@on_these_addresses
def test_asynchronous_pages_are_made_once_for_each_user(engine):
    user = get_user_model().objects.create_user("ann")

    async def go():
        known = AsyncClient()
        await known.aforce_login(user)
        for client, name in ((AsyncClient(), b"nobody"), (known, b"ann")):
            for _ in range(2):
                assert (await client.get("/of_user")).content == name
        assert len(calls) == 2
        assert (await known.get("/rendered")).content == b"1"

    asyncio.run(go())


def test_a_page_that_is_made_in_the_background_speaks_its_language(space, rf):
    space(stale_seconds=60)
    page = cached_view("s", ttl=0.05)(
        lambda request: HttpResponse(f"{len(calls)} {get_language()}")
    )
    with override("de"):
        assert page(rf.get("/")).content == b"0 de"
        time.sleep(0.1)
        calls.append("changed")
        assert page(rf.get("/")).content == b"0 de"
        eventually(lambda: page(rf.get("/")).content == b"1 de", 5)


class Bot:
    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return "<Bot>"

    @cached("functions")
    def method(self):
        return self.number

    @cached("functions", key="{self.number}")
    def with_key(self):
        return self.number


@cached("functions")
def told(*given, **named):
    calls.append("told")
    return [given, named]


def test_results_are_told_apart_by_all_arguments(engine):
    given = [(1,), (True,), ("1",), (1.0,), ([1, (2, {"a": None})],), (UUID(int=1),)]
    for _ in range(2):
        assert [told(*one, x={"y"}) for one in given] == [[one, {"x": {"y"}}] for one in given]
    assert len(calls) == len(given)


def test_no_key_is_made_of_what_looks_like_another(engine):
    assert [Bot(1).with_key(), Bot(2).with_key()] == [1, 2]
    for call in (Bot(1).method, lambda: told(Bot(1)), lambda: told([{"a": (Bot(1),)}])):
        with pytest.raises(TypeError, match="give key="):
            call()
    assert not calls
