from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from optimizer.control import keys, live
from optimizer.control.models import ApiKey, Revision

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_issued_key_is_known_without_a_query(django_assert_num_queries):
    _, token = keys.issue(name="bot", scopes=["ratelimit"])
    with django_assert_num_queries(0):
        identity = keys.authenticate(token)
    assert identity is not None
    assert identity.name == "bot"
    assert identity.may("ratelimit")
    assert not identity.may("control")


def test_a_key_for_everything_may_call_everything():
    _, token = keys.issue(name="bot")
    identity = keys.authenticate(token)
    assert identity is not None
    assert identity.may("anything")


def test_the_secret_is_stored_nowhere():
    key, token = keys.issue(name="bot")
    secret = token.split("_", 2)[2]
    stored = f"{ApiKey.objects.values().get()} {list(Revision.objects.values())}"
    assert secret not in stored
    assert key.prefix in token


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: "Bearer " + token,
        lambda token: token[:-1] + ("a" if token[-1] != "a" else "b"),
        lambda token: token + "a",
        lambda token: "tu_" + "z" * 8 + token[11:],
        lambda token: token + "\n",
        lambda token: "tu_ü" + token[4:],
        lambda token: "x" * 100_000,
    ],
)
def test_what_is_not_the_token_is_refused(change):
    _, token = keys.issue(name="bot")
    assert keys.authenticate(change(token)) is None


def test_a_revoked_key_is_refused_at_once_and_can_be_brought_back():
    _, token = keys.issue(name="bot")
    keys.revoke("bot")
    assert keys.authenticate(token) is None
    ApiKey.objects.filter(name="bot").update(active=True)
    assert keys.authenticate(token) is not None


def test_an_expired_key_is_refused():
    key, token = keys.issue(name="bot", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert keys.authenticate(token) is not None
    ApiKey.objects.filter(pk=key.pk).update(expires_at=datetime.now(UTC))
    assert keys.authenticate(token) is None


def test_two_keys_live_side_by_side_while_one_is_rotated():
    tokens = [keys.issue(name=name)[1] for name in ("old", "new")]
    assert all(keys.authenticate(token) for token in tokens)


def test_a_name_is_used_once():
    keys.issue(name="bot")
    with pytest.raises(ValidationError, match="already exists"):
        keys.issue(name="bot")


def test_a_token_of_another_form_is_refused():
    with pytest.raises(ValidationError, match="tu_<8"):
        keys.issue(name="bot", token="secret")


def test_the_last_use_is_written_at_most_once_a_minute_and_makes_no_revision(monkeypatch):
    monkeypatch.setattr(keys, "_written_at", -1000.0)
    _, token = keys.issue(name="bot")
    before = Revision.objects.count()
    keys.authenticate(token)
    keys.write_last_used()
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    keys.authenticate(token)
    keys.write_last_used()
    assert ApiKey.objects.get().last_used_at == first
    assert Revision.objects.count() == before
    live.catch_up()
