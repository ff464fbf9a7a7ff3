"""The cache's pages in the admin: who may what, and what they say when something is wrong."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.urls import reverse

from caching.decorators import tiered
from caching.models import CachingSettings, Invalidation, Namespace
from optimizer.control.models import Revision

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
PAGES = ("caching_live", "caching_live_fragment", "caching_keys", "caching_invalidate")


def url(name: str, **query: str) -> str:
    tail = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{reverse(f'admin:{name}')}?{tail}"


@pytest.fixture
def viewer(client):
    """Who may look at the cache's settings, and no more."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_cachingsettings"))
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_pages_stand_empty_and_full(admin_client, page):
    assert admin_client.get(url(page)).status_code == 200
    cache.set("a", {"b": 1})
    cache.get("a")
    assert admin_client.get(url(page, key="a")).status_code == 200


@pytest.mark.usefixtures("cache_away", "redis_away")
@pytest.mark.parametrize("page", PAGES)
def test_pages_stand_while_redis_is_away(admin_client, page):
    assert admin_client.get(url(page, key="a")).status_code == 200


def test_who_may_look_may_not_act_nor_see_values(viewer):
    cache.set("a", "secret value")
    page = viewer.get(url("caching_keys", key="a")).content.decode()
    assert "secret value" not in page
    assert "Delete" not in page
    for name in ("caching_budget", "caching_delete_key", "caching_invalidate"):
        assert viewer.post(url(name), {"key": "a", "namespace": "default"}).status_code == 403
    assert cache.get("a") == "secret value"
    viewer.logout()
    assert viewer.get(url("caching_live")).status_code == 302


def test_a_value_is_escaped_and_cut(admin_client):
    cache.set("a", "<script>alert(1)</script>" + "x" * 100_000)
    page = admin_client.get(url("caching_keys", key="a")).content.decode()
    assert "<script>alert(1)" not in page
    assert len(page) < 90_000  # of which the value alone would have more


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "pattern", "text": ""}, "1 to 250 characters"),
        ({"kind": "pattern", "text": "*a*b*c*d*e"}, "at most 4 stars"),
        ({"kind": "keys", "text": ""}, "Give 1 to 1000 keys"),
        ({"kind": "tag", "text": "x" * 101}, "1 to 100 printable characters"),
        ({"kind": "pattern", "text": "a*", "namespace": "nobody"}, "There is no namespace"),
    ],
)
def test_what_cannot_be_invalidated_says_what_may_be(admin_client, form, says):
    page = admin_client.post(url("caching_invalidate"), {"namespace": "default", **form})
    assert page.status_code == 200
    assert says in page.content.decode()
    assert not Invalidation.objects.exists()


def test_nothing_goes_before_it_is_confirmed(admin_client):
    cache.set_many({"a1": 1, "a2": 2, "b1": 3})
    form = {"kind": "pattern", "text": "a*", "namespace": "default"}
    assert "2 values" in admin_client.post(url("caching_invalidate"), form).content.decode()
    assert cache.get("a1") == 1
    admin_client.post(url("caching_invalidate"), {**form, "confirm": "1"})
    assert cache.get_many(["a1", "a2", "b1"]) == {"b1": 3}
    record = Invalidation.objects.get()
    assert (record.what, record.count, record.actor) == ("pattern a* of default", 2, "admin")
    assert record.channel == "admin"


def test_a_whole_namespace_and_keys_and_a_tag_go(admin_client):
    Namespace.objects.create(name="users", prefix="user:")
    cache.set("user:1", 1)
    cache.set("k1", 1)
    tiered().set("t1", 1, tags=["red"])

    def invalidate(**form: str) -> None:
        admin_client.post(
            url("caching_invalidate"), {"namespace": "default", "confirm": "1", **form}
        )

    invalidate(kind="namespace", namespace="users")
    invalidate(kind="keys", text="k1\nk2")
    invalidate(kind="tag", text="red")
    assert cache.get_many(["user:1", "k1", "t1"]) == {}
    assert set(Invalidation.objects.values_list("what", flat=True)) == {
        "namespace users",
        "tag red",
    }


@pytest.mark.usefixtures("cache_away")
def test_with_redis_away_it_waits_and_says_so(admin_client):
    form = {"kind": "pattern", "text": "a*", "namespace": "default", "confirm": "1"}
    page = admin_client.post(url("caching_invalidate"), form, follow=True).content.decode()
    assert "Redis is away" in page
    assert Invalidation.objects.get().waited


def test_the_advised_budget_is_applied_as_a_revision(admin_client):
    answer = admin_client.post(url("caching_budget"), {"budget_bytes": str(300 * 1024**2)})
    assert CachingSettings.load().l1_budget_bytes == 300 * 1024**2
    revision = Revision.objects.get()
    assert (revision.component, revision.actor) == ("caching", "admin")
    assert answer["Location"].endswith(f"?revision={revision.number}")


@pytest.mark.parametrize("given", ["", "-5", "1", "x", "9" * 40, str(65 * 1024**3)])
def test_a_budget_that_cannot_be_is_refused(admin_client, given):
    admin_client.post(url("caching_budget"), {"budget_bytes": given})
    assert not Revision.objects.exists()


def namespace_form(admin_client, **changes: str) -> str:
    from tests.end_to_end.admin_session import fields

    add = reverse("admin:caching_namespace_add")
    form = {**fields(admin_client.get(add).content.decode()), "name": "users", "prefix": "user:"}
    return str(admin_client.post(add, {**form, **changes}).content.decode())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"l1": "", "l2": ""}, "At least one of the two tiers must be on"),
        ({"prefix": ""}, "Must be empty for default, and for it alone"),
        ({"name": "default"}, "Must be empty for default, and for it alone"),
        ({"name": "Users"}, "lower-case letters"),
        ({"jitter_percent": "51"}, "Must be between 0 percent and 50 percent"),
        ({"l1_share_percent": "60"}, "Must be at most 50 percent"),
        ({"ttl_seconds": "-1"}, "Must be between"),
    ],
)
def test_a_namespace_that_cannot_be_is_refused_beside_its_field(admin_client, changes, says):
    Namespace.objects.create(name="others", prefix="other:", l1_share_percent=40)
    assert says in namespace_form(admin_client, **changes)
    assert list(Namespace.objects.values_list("name", flat=True)) == ["others"]


def test_a_namespace_is_made(admin_client):
    namespace_form(admin_client)
    assert Namespace.objects.get().prefix == "user:"
