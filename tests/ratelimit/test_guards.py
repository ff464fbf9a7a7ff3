"""The decorators and the middleware around Django's views."""

import asyncio

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.test import RequestFactory
from django_ratelimit.exceptions import Ratelimited

from ratelimit import limiter
from ratelimit.guards import limited
from ratelimit.middleware import RateLimitMiddleware
from ratelimit.models import RatelimitSettings, Scope, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def tier():
    tier = Tier.objects.create(
        name="small", capacity=2, refill_tokens=1, refill_period_seconds=3600
    )
    RatelimitSettings(default_tier=tier).save()
    return tier


def request(path="/page", user=None, **headers):
    made = RequestFactory().get(path, headers=headers)
    made.user = user or AnonymousUser()
    return made


def view(request):
    return HttpResponse("here")


@pytest.mark.usefixtures("tier")
def test_past_the_limit_a_view_is_not_called():
    seen = []

    @limited()
    def guarded(request):
        seen.append(1)
        return HttpResponse("here")

    answers = [guarded(request()) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert len(seen) == 2
    assert answers[0]["RateLimit"] == '"small";r=1;t=3600'
    assert answers[2]["Content-Type"] == "application/problem+json"
    assert int(answers[2]["Retry-After"]) > 3500


@pytest.mark.usefixtures("tier")
def test_people_get_a_page():
    guarded = limited(cost=2)(view)
    guarded(request(accept="text/html"))
    answer = guarded(request(accept="text/html"))
    assert answer.status_code == 429
    assert b"Too many requests" in answer.content
    assert "RateLimit" in answer


@pytest.mark.usefixtures("tier")
def test_users_and_addresses_have_their_own_buckets():
    guarded = limited(cost=2)(view)
    user = User.objects.create_user("ada")
    assert guarded(request()).status_code == 200
    assert guarded(request(user=user)).status_code == 200
    assert limiter.peek(f"user:{user.pk}").remaining == 0
    assert limiter.peek("ip:127.0.0.1").remaining == 0


@pytest.mark.usefixtures("tier")
def test_an_async_view_is_limited_alike():
    @limited(subject=lambda request: "all", cost=lambda request: 2)
    async def guarded(request):
        return HttpResponse("here")

    async def go():
        return [(await guarded(request())).status_code for _ in range(2)]

    assert asyncio.run(go()) == [200, 429]


@pytest.mark.parametrize("concurrency", [0, 1])
def test_the_slot_of_a_view_is_free_again_after_it(tier, concurrency):
    Tier.objects.update(concurrency=concurrency, capacity=10)
    guarded = limited()(view)
    assert [guarded(request()).status_code for _ in range(3)] == [200] * 3

    @limited()
    def broken(request):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        broken(request())
    assert guarded(request()).status_code == 200


@pytest.mark.usefixtures("tier")
def test_the_middleware_limits_once_its_scope_is_there():
    middleware = RateLimitMiddleware(view)
    assert [middleware(request()).status_code for _ in range(4)] == [200] * 4
    Scope.objects.create(name="web")
    assert [middleware(request()).status_code for _ in range(3)] == [200, 200, 429]


def test_what_django_ratelimit_refuses_is_a_429():
    middleware = RateLimitMiddleware(view)
    answer = middleware.process_exception(request(), Ratelimited())
    assert answer is not None
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert middleware.process_exception(request(), RuntimeError()) is None
