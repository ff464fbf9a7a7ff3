"""The bare path answers as Django does, and leaves to Django what is not plain."""

import json

import pytest
from django.core.handlers.wsgi import WSGIHandler

from optimizer.control import keys
from optimizer.operations.fast_path import FastPath, _host_is_allowed
from optimizer.operations.metrics import REQUESTS
from optimizer.operations.models import OperationsSettings
from ratelimit.models import RatelimitSettings, Tier
from tests.wsgi import Answer, left_to_django

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
CHECK, MANY = "/internal/v1/ratelimit/check", "/internal/v1/ratelimit/check-many"


@pytest.fixture
def bearer():
    tier = Tier.objects.create(
        name="small", capacity=2, refill_tokens=1, refill_period_seconds=3600, near_limit_percent=0
    )
    RatelimitSettings(default_tier=tier, deny_cache_seconds=0).save()
    return f"Bearer {keys.issue(name='bot', scopes=['ratelimit'])[1]}"


@pytest.mark.parametrize("body", [{"subject": "u"}, {"subject": "u", "cost": 2, "scope": ""}])
def test_plain_calls_are_answered_before_django(bearer, body):
    answer = Answer(FastPath(left_to_django), "POST", CHECK, body, HTTP_AUTHORIZATION=bearer)
    assert answer.status == 200
    assert answer.json()["allowed"] is True


def test_both_paths_give_the_same_answers(bearer):
    def ask(application, path, body):
        return Answer(application, "POST", path, body, HTTP_AUTHORIZATION=bearer)

    bare, django = FastPath(left_to_django), WSGIHandler()
    one, two = {"subject": "{}"}, {"subject": "{}", "cost": 2}
    many = {"charges": [{"subject": "{}x"}, {"subject": "{}x", "cost": 2}]}
    for path, bodies in ((CHECK, (one, two, one)), (MANY, (many,))):
        for body in bodies:
            told = []
            for name, application in (("a", bare), ("b", django)):
                given = json.loads(json.dumps(body).replace("{}", name))
                answer = ask(application, path, given)
                document = answer.json()
                for decided in (document, *document.get("decisions", ())):
                    for field in ("retry_after_seconds", "reset_after_seconds"):
                        if field in decided:
                            decided[field] = round(decided[field], -1)
                headers = {
                    name: answer.headers.get(name)
                    for name in ("content-type", "ratelimit", "ratelimit-policy", "retry-after")
                }
                told.append((answer.status, document, headers, "x-request-id" in answer.headers))
            assert told[0] == told[1]


@pytest.mark.parametrize(
    ("body", "environ"),
    [
        (b"{", {}),
        (b"", {}),
        ({"subject": ""}, {}),
        ({"subject": "u", "cost": 0}, {}),
        ({"subject": "u", "cost": 1.5}, {}),
        ({"subject": "u", "cost": True}, {}),
        ({"subject": "u", "cost": 10**30}, {}),
        ({"subject": "u", "scope": "none"}, {}),
        ({"subject": "u", "price": 1}, {}),
        ({"subject": "a\x00"}, {}),
        ({"subject": "u"}, {"HTTP_AUTHORIZATION": "Bearer tu_aaaaaaaa_" + "b" * 43}),
        ({"subject": "u"}, {"HTTP_AUTHORIZATION": ""}),
        ({"subject": "u"}, {"HTTP_HOST": "elsewhere.example"}),
        ({"subject": "u"}, {"CONTENT_TYPE": "text/plain"}),
        ({"subject": "u"}, {"CONTENT_LENGTH": "x"}),
        ({"subject": "u"}, {"CONTENT_LENGTH": str(10**8)}),
        ({"subject": "u"}, {"HTTP_TRANSFER_ENCODING": "chunked"}),
        ({"subject": "u"}, {"REQUEST_METHOD": "GET"}),
        ({"subject": "u"}, {"QUERY_STRING": "x=1"}),
    ],
    ids=str,
)
def test_what_is_not_plain_is_left_to_django_with_its_body(bearer, settings, body, environ):
    settings.ALLOWED_HOSTS = ["localhost"]
    _host_is_allowed.cache_clear()
    given = {"HTTP_AUTHORIZATION": bearer, **environ}
    answer = Answer(FastPath(left_to_django), "POST", CHECK, body, **given)
    assert answer.status == 599
    assert answer.content == (body if isinstance(body, bytes) else json.dumps(body).encode())
    # and Django names what is wrong
    assert 400 <= Answer(FastPath(WSGIHandler()), "POST", CHECK, body, **given).status < 500 or (
        "QUERY_STRING" in environ
    )


def test_a_key_without_the_scope_is_left_to_django(bearer):
    other = f"Bearer {keys.issue(name='other', scopes=['control'])[1]}"
    answer = Answer(
        FastPath(WSGIHandler()), "POST", CHECK, {"subject": "u"}, HTTP_AUTHORIZATION=other
    )
    assert answer.status == 403


def test_the_outer_wall_stands_before_it_too(bearer):
    OperationsSettings(keyed_rate_per_minute=1).save()
    path = FastPath(WSGIHandler())
    told = [
        Answer(path, "POST", CHECK, {"subject": "u"}, HTTP_AUTHORIZATION=bearer).status
        for _ in range(2)
    ]
    assert told == [200, 429]


def test_behind_a_tls_proxy_it_serves_what_came_over_tls(bearer, settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    path, given = FastPath(left_to_django), {"HTTP_AUTHORIZATION": bearer}
    assert Answer(path, "POST", CHECK, {"subject": "u"}, **given).status == 599
    given["HTTP_X_FORWARDED_PROTO"] = "https"
    assert Answer(path, "POST", CHECK, {"subject": "u"}, **given).status == 200


def test_it_is_counted_in_the_same_metric(bearer):
    labels = REQUESTS.labels("POST", "internal/v1/ratelimit/check", "200")
    before = labels._value.get()
    for application in (FastPath(left_to_django), FastPath(WSGIHandler())):
        Answer(application, "POST", CHECK, {"subject": "u"}, HTTP_AUTHORIZATION=bearer)
    assert labels._value.get() == before + 2


def test_a_failure_is_a_problem_and_not_tried_again(bearer, monkeypatch):
    path = FastPath(left_to_django)
    route, scope, _ = path._routes[CHECK]

    def fail(_):
        raise RuntimeError

    path._routes[CHECK] = (route, scope, fail)
    answer = Answer(path, "POST", CHECK, {"subject": "u"}, HTTP_AUTHORIZATION=bearer)
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
