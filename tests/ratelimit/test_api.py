import json

import pytest

from optimizer.control import keys
from ratelimit.models import RatelimitSettings, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def small():
    tier = Tier.objects.create(
        name="small", capacity=2, refill_tokens=1, refill_period_seconds=3600
    )
    RatelimitSettings(default_tier=tier).save()
    return tier


@pytest.fixture
def bearer():
    return f"Bearer {keys.issue(name='bot', scopes=['ratelimit'])[1]}"


@pytest.fixture
def check(client, bearer):
    def post(body, **headers):
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return client.post(
            "/internal/v1/ratelimit/check",
            text,
            content_type=headers.pop("content_type", "application/json"),
            headers={"Authorization": bearer, **headers},
        )

    return post


def test_an_allowed_check_tells_what_is_left(check, small):
    answer = check({"subject": "user:1"})
    assert answer.status_code == 200
    document = answer.json()
    assert document["allowed"] is True
    assert document["remaining"] == 1
    assert document["tier"] == "small"
    assert answer["RateLimit-Policy"] == '"small";q=2;w=7200'
    assert answer["RateLimit"] == '"small";r=1;t=3600'


def test_a_denied_check_is_a_429_with_the_wait(check, small):
    check({"subject": "user:1", "cost": 2})
    answer = check({"subject": "user:1"})
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == "quota-exceeded"
    assert document["violated-policies"] == ["small"]
    assert document["allowed"] is False
    assert 3500 < document["retry_after_seconds"] <= 3600
    assert int(answer["Retry-After"]) >= document["retry_after_seconds"]
    assert answer["RateLimit"].startswith('"small";r=0;t=')


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "subject", "required"),
        ({"subject": ""}, "subject", "at least 1 character"),
        ({"subject": "x" * 257}, "subject", "at most 256 characters"),
        ({"subject": 5}, "subject", "string"),
        ({"subject": "u", "cost": 0}, "cost", "greater than or equal to 1"),
        ({"subject": "u", "cost": 3}, "cost", "between 1 and 2"),
        ({"subject": "u", "cost": 10**30}, "cost", "1000000"),
        ({"subject": "u", "cost": "2"}, "cost", "integer"),
        ({"subject": "u", "cost": 1.5}, "cost", "integer"),
        ({"subject": "u", "price": 1}, "price", "not permitted"),
        ([], "payload", "valid dict"),
    ],
)
def test_a_bad_field_is_named_with_its_range(check, small, body, field, says):
    answer = check(body)
    assert answer.status_code == 422
    document = answer.json()
    assert document["type"] == "invalid-fields"
    (error,) = document["errors"]
    assert error["field"] == field
    assert says in error["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("", 422),
        (b"\xff", 400),
        ('{"subject": "\\ud800"}', 400),
        ('{"subject": "a\\u0000"}', 400),
        ("x" * (1024**2 + 1), 413),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(check, body, status):
    answer = check(body)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"


def test_another_content_type_is_refused(check):
    assert check("subject=u", content_type="text/plain").status_code == 415


def test_a_body_in_chunks_is_told_to_come_whole(check):
    answer = check("", **{"Transfer-Encoding": "chunked"})
    assert answer.status_code == 411
    assert "Content-Length" in answer.json()["detail"]


def test_a_key_without_the_scope_is_refused(client):
    token = keys.issue(name="other", scopes=["control"])[1]
    answer = client.post(
        "/internal/v1/ratelimit/check",
        '{"subject": "u"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403
    assert "ratelimit" in answer.json()["detail"]


@pytest.mark.parametrize(
    "bearer", ["", "Bearer", "Bearer x", "Basic x", "Bearer tu_aaaaaaaa_" + "b" * 43]
)
def test_without_a_valid_key_there_is_no_answer(check):
    answer = check({"subject": "u"})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["type"] == "invalid-key"


def test_a_revoked_key_stops(check):
    assert check({"subject": "u"}).status_code == 200
    keys.revoke("bot")
    assert check({"subject": "u"}).status_code == 401


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_a_closed_tier_answers_503(check, small):
    Tier.objects.update(when_redis_is_away="closed")
    answer = check({"subject": "u"})
    assert answer.status_code == 503
    assert answer.json()["type"] == "temporary-reduced-capacity"
    assert answer["Retry-After"] == "1"


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_an_open_tier_lets_pass(check, small):
    assert check({"subject": "u"}).json()["source"] == "redis-away"


def test_a_wrong_method_and_a_wrong_path_are_problems_too(client):
    for path, status in (("/internal/v1/ratelimit/check", 405), ("/internal/v1/nothing", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"
        assert answer["X-Request-ID"]
        assert answer["Content-Security-Policy"]


def test_a_check_asks_no_database_and_logs_nothing(check, small, django_assert_num_queries, caplog):
    check({"subject": "u"})
    with django_assert_num_queries(0):
        assert [check({"subject": "u"}).status_code for _ in range(3)] == [200, 429, 429]
    assert caplog.records == []
