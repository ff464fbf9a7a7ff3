import re

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from optimizer.control import keys
from optimizer.control.models import ApiKey, Head, PendingRevert, Recorded, Revision, SettingsModel
from optimizer.control.selectors import in_words
from optimizer.control.unfold import ModelAdmin
from optimizer.operations.dashboard import environment, navigation
from ratelimit.models import RatelimitSettings, Subject, Tier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def root(client):
    user = get_user_model().objects.create_superuser("ada", password="a-long-test-password")
    client.force_login(user)
    return client


@pytest.fixture
def tier():
    tier = Tier.objects.create(name="small", capacity=5)
    Subject.objects.create(identifier="user:1", tier=tier)
    return tier


def form_of(page):
    """Return what a browser would send of a page that nobody has edited."""
    forms = [page.context["adminform"].form]
    for inline in page.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.initial_forms]
    values = {field.html_name: field.value() for form in forms for field in form}
    values["change_base"] = page.context["base_revision"]
    return {name: value for name, value in values.items() if value not in (None, False)}


def tier_form(tier, **changes):
    client = Client()
    client.force_login(get_user_model().objects.filter(is_superuser=True)[0])
    return {**form_of(client.get(url_of(tier))), "capacity": "5 tokens", **changes}


def url_of(tier):
    return reverse("admin:ratelimit_tier_change", args=(tier.pk,))


def text_of(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_form_and_its_inlines_are_one_revision_and_one_revert(root, tier):
    changes = {
        "capacity": "9",
        "subjects-0-identifier": "user:2",
        "change_reason": "more room",
    }
    answer = root.post(url_of(tier), tier_form(tier, **changes))
    number = Head.objects.get().revision
    assert answer.headers["Location"] == f"{url_of(tier)}?revision={number}"
    revision = Revision.objects.get(pk=number)
    assert (revision.actor, revision.channel, revision.reason) == ("ada", "admin", "more room")
    assert set(revision.after) == {"ratelimit.tier", "ratelimit.subject"}
    page = text_of(root.get(reverse("admin:control_revert", args=(number,))))
    assert "5 tokens" in page
    assert "9 tokens" in page
    root.post(reverse("admin:control_revert", args=(number,)), {"reason": "no"})
    tier.refresh_from_db()
    assert tier.capacity == 5
    assert tier.subjects.get().identifier == "user:1"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("capacity", "0", "Must be between 1 token and 1\u202f000\u202f000 tokens."),
        ("capacity", "many", "Write a number of tokens. Allowed: 1 token to"),
        ("capacity", "1.5", "Must be a whole number, 1 token to"),
        ("refill_period_seconds", "2 d", "Must be between 1 s and 1 d."),
        ("refill_period_seconds", "", "This field is required."),
        ("capacity", "9" * 40, "Must be between 1 token and"),
        ("capacity", "9" * 400, "Write a number of tokens. Allowed: 1 token to"),
        ("name", "Two words", "Must be lower-case letters"),
        ("subjects-0-identifier", "", "This field is required."),
    ],
)
def test_a_bad_value_is_refused_in_the_form_with_its_range(root, tier, field, value, says):
    before = Revision.objects.count()
    answer = root.post(url_of(tier), tier_form(tier, **{field: value}))
    assert answer.status_code == 200
    assert says.replace("\u202f", " ") in text_of(answer)
    assert Revision.objects.count() == before


def test_amounts_are_typed_with_units(root, tier):
    root.post(url_of(tier), tier_form(tier, refill_period_seconds="1 h 30 min"))
    tier.refresh_from_db()
    assert tier.refill_period_seconds == 5400
    assert 'value="1 h 30 min"' in text_of(root.get(url_of(tier)))


def test_the_form_shows_unit_default_range_and_badge(root, tier):
    page = text_of(root.get(url_of(tier)))
    for chip in ("default 20 tokens", "modified", "1 s to 1 d", "live"):
        assert chip in page


def test_a_save_that_changes_nothing_makes_no_revision(root, tier):
    before = Revision.objects.count()
    root.post(url_of(tier), tier_form(tier))
    assert Revision.objects.count() == before


def test_who_saves_second_is_told_and_can_save_again(root, tier):
    form = tier_form(tier, capacity="9")
    Tier.objects.filter(pk=tier.pk).update(capacity=7)
    answer = root.post(url_of(tier), form)
    assert "changed this since you opened it" in text_of(answer)
    tier.refresh_from_db()
    assert tier.capacity == 7
    again = {**form, "change_base": Head.objects.get().revision}
    root.post(url_of(tier), again)
    tier.refresh_from_db()
    assert tier.capacity == 9


def test_who_would_overwrite_an_inline_row_is_told(root, tier):
    form = tier_form(tier)
    Subject.objects.update(identifier="user:7")
    answer = root.post(url_of(tier), form)
    assert "identifier of subject user:7: user:1 → user:7" in text_of(answer)
    assert tier.subjects.get().identifier == "user:7"


@pytest.mark.parametrize("base", ["", "x", "9" * 30])
def test_a_base_revision_that_is_none_breaks_nothing(root, tier, base):
    assert root.post(url_of(tier), tier_form(tier, change_base=base)).status_code in (200, 302)


def test_a_change_elsewhere_is_no_conflict(root, tier):
    form = tier_form(tier, capacity="9")
    Tier.objects.create(name="other")
    assert root.post(url_of(tier), form).status_code == 302


@pytest.mark.parametrize(("keep", "unless_confirmed"), [("300", False), ("confirm", True)])
def test_a_change_may_end_by_itself(root, tier, keep, unless_confirmed):
    root.post(url_of(tier), tier_form(tier, capacity="9", change_keep=keep))
    pending = PendingRevert.objects.get()
    assert pending.unless_confirmed is unless_confirmed
    page = text_of(root.get(f"{url_of(tier)}?revision={pending.pk}"))
    assert ("unless you confirm" if unless_confirmed else "Ends by itself") in page
    root.post(reverse("admin:control_confirm", args=(pending.pk,)))
    assert not PendingRevert.objects.exists()


@pytest.mark.parametrize("keep", ["1", "x", "-5"])
def test_a_choice_that_is_not_offered_is_refused(root, tier, keep):
    answer = root.post(url_of(tier), tier_form(tier, capacity="9", change_keep=keep))
    assert "Select a valid choice" in text_of(answer)
    tier.refresh_from_db()
    assert tier.capacity == 5


def test_a_confirm_needs_a_post(root, tier):
    assert root.get(reverse("admin:control_confirm", args=(1,))).status_code == 405


def test_a_revert_over_later_changes_needs_a_second_thought(root, tier):
    Tier.objects.filter(pk=tier.pk).update(capacity=6)
    number = Head.objects.get().revision
    Tier.objects.filter(pk=tier.pk).update(capacity=7)
    url = reverse("admin:control_revert", args=(number,))
    assert "changed since, to 7" in text_of(root.get(url))
    assert "Nothing was reverted" in text_of(root.post(url))
    root.post(url, {"force": "1"})
    tier.refresh_from_db()
    assert tier.capacity == 5


def test_the_history_of_a_row_shows_before_and_after(root, tier):
    Tier.objects.filter(pk=tier.pk).update(refill_period_seconds=90)
    page = text_of(root.get(reverse("admin:ratelimit_tier_history", args=(tier.pk,))))
    assert "1 min 30 s" in page
    assert "Revert" in page


def test_the_one_settings_row_has_no_list(root):
    url = reverse("admin:ratelimit_ratelimitsettings_changelist")
    one = reverse("admin:ratelimit_ratelimitsettings_change", args=(1,))
    assert root.get(url).headers["Location"] == one
    form = form_of(root.get(one))
    assert root.get(reverse("admin:ratelimit_ratelimitsettings_add")).status_code == 403
    del form["enabled"]
    root.post(one, form)
    assert RatelimitSettings.load().enabled is False


def test_bulk_deletion_is_one_revision(root, tier):
    other = Tier.objects.create(name="other")
    before = Revision.objects.count()
    root.post(
        reverse("admin:ratelimit_tier_changelist"),
        {"action": "delete_selected", "_selected_action": [tier.pk, other.pk], "post": "yes"},
    )
    assert not Tier.objects.exists()
    assert Revision.objects.count() == before + 1
    assert Revision.objects.order_by("-number")[0].actor == "ada"


def test_a_new_key_is_shown_once_and_works(root):
    form = {"name": "bot", "scopes": ["ratelimit"], "active": "on", "change_base": 0}
    page = root.post(reverse("admin:control_apikey_add"), form, follow=True)
    token = re.search(r"tu_[A-Za-z0-9]{8}_[A-Za-z0-9_-]+", page.content.decode())
    assert token is not None
    identity = keys.authenticate(token[0])
    assert identity is not None
    assert identity.scopes == {"ratelimit"}
    key = ApiKey.objects.get()
    assert key.created_by is not None
    again = text_of(root.get(reverse("admin:control_apikey_change", args=(key.pk,))))
    assert token[0] not in again
    history = text_of(root.get(reverse("admin:control_apikey_history", args=(key.pk,))))
    assert key.digest not in again + history
    root.post(
        reverse("admin:control_apikey_changelist"),
        {"action": "revoke", "_selected_action": [key.pk]},
    )
    assert keys.authenticate(token[0]) is None


@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda m: m.__name__)
def test_every_page_of_every_model_opens(root, tier, model):
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, ModelAdmin)
    base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert root.get(reverse(f"{base}_changelist"), follow=True).status_code == 200
    assert root.get(reverse(f"{base}_add")).status_code in (200, 403)
    for row in model._default_manager.all()[:2]:
        assert root.get(reverse(f"{base}_change", args=(row.pk,))).status_code == 200
        if issubclass(model, Recorded):
            assert root.get(reverse(f"{base}_history", args=(row.pk,))).status_code == 200


NASTY = ("\x00", "9" * 400, "nan", "1e400", "-1", "5 parsecs", "<script>", "x" * 7_000)
OURS = [model for model in admin.site._registry if issubclass(model, Recorded)]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_no_value_breaks_a_form(root, tier, model):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    if issubclass(model, SettingsModel):
        model().save()
    row = model._default_manager.first()
    url = reverse(f"{name}_change", args=(row.pk,)) if row else reverse(f"{name}_add")
    fields = set(re.findall(r'name="([a-z_]+)"', text_of(root.get(url, follow=True))))
    before = Revision.objects.count()
    for value in NASTY:
        answer = root.post(url, dict.fromkeys(fields, value))
        assert answer.status_code == 200, (value, answer.content)
        assert "error" in text_of(answer), value
        assert Revision.objects.count() == before, value


def test_who_signs_in_without_being_sent_there_comes_to_the_dashboard(client):
    name, password = "ada", "a-long-test-password"
    get_user_model().objects.create_superuser(name, password=password)
    form = {"username": name, "password": password}
    answer = client.post(reverse("admin:login"), form)
    assert answer["Location"] == reverse("admin:index")


def test_the_dashboard_walks_the_registry_and_refreshes_itself(root, tier):
    for url in (reverse("admin:index"), reverse("dashboard")):
        page = text_of(root.get(url))
        for words in ("Readiness", "Rate limiter", "Processes", "Last changes", "small"):
            assert words in page


@pytest.mark.usefixtures("redis_away")
def test_the_admin_works_while_redis_is_away(root, tier):
    root.post(url_of(tier), tier_form(tier, capacity="9"))
    number = Head.objects.get().revision
    assert "Redis is away" in text_of(root.get(f"{url_of(tier)}?revision={number}"))
    assert "Redis is away" in text_of(root.get(reverse("admin:index")))


def test_staff_without_rights_sees_and_changes_nothing(client, tier):
    user = get_user_model().objects.create_user("eve", password="a-long-test-password")
    user.is_staff = True
    user.save()
    client.force_login(user)
    assert client.get(url_of(tier)).status_code == 403
    assert client.post(reverse("admin:control_revert", args=(1,))).status_code == 403
    assert client.post(reverse("admin:control_confirm", args=(1,))).status_code == 403
    assert client.get(reverse("admin:control_revision_change", args=(1,))).status_code == 403


def test_who_may_only_look_sees_everything_and_stops_no_key(client, tier):
    user = get_user_model().objects.create_user("eve", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    key, token = keys.issue(name="bot")
    assert client.get(url_of(tier)).status_code == 200
    assert client.get(reverse("admin:control_apikey_change", args=(key.pk,))).status_code == 200
    client.post(
        reverse("admin:control_apikey_changelist"),
        {"action": "revoke", "_selected_action": [key.pk]},
    )
    assert keys.authenticate(token) is not None


def test_the_sidebar_leads_only_where_one_may_look(client, root, tier):
    lists = [
        reverse(f"admin:{name}_changelist")
        for name in ("ratelimit_tier", "control_apikey", "control_revision", "auth_user")
    ]
    page = text_of(root.get(reverse("admin:index")))
    assert all(f'href="{url}"' in page for url in lists)
    user = get_user_model().objects.create_user("eve", password="x", is_staff=True)
    client.force_login(user)
    sidebar = navigation(client.get(reverse("admin:index")).wsgi_request)
    linked = {item["link"] for group in sidebar for item in group["items"]}
    assert not linked.intersection(lists)


def test_a_row_that_comes_or_goes_is_one_part_of_the_words(tier):
    tier.delete()
    made, _, gone = Revision.objects.order_by("number")
    assert in_words(made) == "tier small added"
    assert in_words(gone) == "tier small removed; subject user:1 removed"


def test_the_label_tells_production_apart(root, settings):
    settings.ENVIRONMENT_NAME = "production"
    assert "production" in text_of(root.get(reverse("admin:index")))
    assert environment(HttpRequest()) == ("production", "danger")
    settings.ENVIRONMENT_NAME = "staging"
    assert environment(HttpRequest()) == ("staging", "info")
    settings.ENVIRONMENT_NAME = ""
    assert environment(HttpRequest()) is None


@pytest.mark.parametrize("revision", ["", "0", "x", "-1", "9" * 30, "999"])
def test_a_revision_that_is_none_shows_no_panel(root, tier, revision):
    assert root.get(f"{url_of(tier)}?revision={revision}").status_code == 200


def test_a_revert_needs_the_rights_of_what_it_does(client, tier):
    user = get_user_model().objects.create_user("eve", password="a-long-test-password")
    user.is_staff = True
    user.save()
    for name in ("change_tier", "change_subject"):
        user.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(user)
    created = Revision.objects.order_by("number")[0].number
    Tier.objects.filter(pk=tier.pk).update(capacity=9)
    changed = Head.objects.get().revision
    assert client.post(reverse("admin:control_revert", args=(created,))).status_code == 403
    assert client.post(reverse("admin:control_revert", args=(changed,))).status_code == 302
    assert "Last changes" not in text_of(client.get(reverse("admin:index")))
