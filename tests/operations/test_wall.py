import pytest

from optimizer.control import keys
from optimizer.operations.models import OperationsSettings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

LOGIN = "/admin/login/"
CHECK = "/internal/v1/ratelimit/check"


def guess(client, **more):
    return client.post(LOGIN, {"username": "admin", "password": "guess"}, **more)


def call(client, token="", **more):
    return client.post(
        CHECK,
        '{"subject": "u"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", **more.pop("headers", {})},
        **more,
    )


def test_guessing_passwords_ends_in_a_page_that_says_how_long(client):
    OperationsSettings(login_rate_per_minute=3).save()
    assert [guess(client).status_code for _ in range(4)] == [200, 200, 200, 429]
    page = guess(client)
    assert "Too many requests" in page.content.decode()
    assert 1 <= int(page["Retry-After"]) <= 60
    assert client.get(LOGIN).status_code == 200


def test_each_address_is_counted_for_itself(client):
    OperationsSettings(login_rate_per_minute=1).save()
    assert guess(client).status_code == 200
    assert guess(client).status_code == 429
    assert guess(client, REMOTE_ADDR="10.0.0.1").status_code == 200


def test_calls_without_a_valid_key_end_in_a_problem_of_its_own_type(client):
    OperationsSettings(anonymous_rate_per_minute=2).save()
    assert [call(client).status_code for _ in range(3)] == [401, 401, 429]
    problem = call(client)
    assert problem.json()["type"] == "outer-wall"
    assert int(problem["Retry-After"]) >= 1
    assert problem["RateLimit-Policy"] == '"wall-internal";q=2;w=60'
    assert problem["RateLimit"].startswith('"wall-internal";r=0;t=')


def test_a_valid_key_passes_the_wall_unless_an_admin_sets_a_rate(client):
    token = keys.issue(name="bot")[1]
    OperationsSettings(anonymous_rate_per_minute=1).save()
    assert {call(client, token).status_code for _ in range(5)} == {200}
    OperationsSettings(keyed_rate_per_minute=2).save()
    assert [call(client, token).status_code for _ in range(3)] == [200, 200, 429]


def test_no_rate_is_no_wall(client):
    OperationsSettings(anonymous_rate_per_minute=0).save()
    assert {call(client).status_code for _ in range(5)} == {401}


def test_a_forwarded_address_is_believed_only_behind_trusted_proxies(client):
    OperationsSettings(anonymous_rate_per_minute=1).save()
    call(client, headers={"X-Forwarded-For": "1.1.1.1"})
    assert call(client, headers={"X-Forwarded-For": "2.2.2.2"}).status_code == 429
    OperationsSettings(anonymous_rate_per_minute=1, trusted_proxy_count=1).save()
    # The last hop is what our proxy saw; the ones before it are the caller's own words.
    assert call(client, headers={"X-Forwarded-For": "9.9.9.9, 3.3.3.3"}).status_code == 401
    assert call(client, headers={"X-Forwarded-For": "8.8.8.8, 3.3.3.3"}).status_code == 429


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_the_wall_lets_pass(client, settings):
    from django.core.cache import caches

    OperationsSettings(anonymous_rate_per_minute=1).save()
    wall = {**settings.CACHES["wall"], "LOCATION": settings.REDIS_URL}
    settings.CACHES = {**settings.CACHES, "wall": wall}
    assert caches["wall"]
    assert {call(client).status_code for _ in range(4)} == {401}
