"""The pages of figures, alerts and indexes: who may what, and whatever there is to show."""

from datetime import timedelta

import pytest
import yaml
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from optimizer.control.documents import DocumentError, apply_document, export_document
from optimizer.control.models import Revision
from optimizer.operations.models import AlertEvent, AlertRule, DocumentIndex, Notice, Sample
from optimizer.operations.selectors.history import RANGES, history
from optimizer.operations.services import alerting, notices, seeds

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
HTML = "<script>alert(1)</script>"
PAGES = (
    "operations_history",
    "operations_history_fragment",
    "operations_alertrule_changelist",
    "operations_alertrule_add",
    "operations_alertevent_changelist",
    "operations_documentindex_changelist",
    "operations_documentindex_add",
    "operations_operationssettings_changelist",
)


def text_of(client, address):
    answer = client.get(address, follow=True)
    assert answer.status_code == 200, address
    return answer.content.decode()


def url(name, *args):
    return reverse(f"admin:{name}", args=args)


def sample(figure, ago, value, span=60, **more):
    at = (timezone.now() - ago).replace(second=0, microsecond=0)
    given = {"least": value, "most": value} | more
    Sample.objects.create(span_seconds=span, figure=figure, at=at, value=value, **given)


def test_all_pages_stand_with_nothing_to_show(admin_client):
    for page in PAGES:
        text_of(admin_client, url(page))
    assert "No figure is kept yet" in text_of(admin_client, url("operations_history"))


@pytest.mark.usefixtures("redis_away")
def test_all_pages_stand_while_redis_is_away(admin_client):
    seeds.seed()
    for page in PAGES:
        text_of(admin_client, url(page))


@pytest.mark.parametrize("range", [*RANGES, "for ever", ""])
def test_the_history_shows_every_figure_with_its_rules(admin_client, range):
    seeds.seed()
    sample("caching.hit_percent", timedelta(minutes=9), 71.5)
    page = text_of(admin_client, f"{url('operations_history')}?range={range}")
    for told in ("Cache hits", "Dead letters", "The cache hits little: new", "tu-gap", "Kept last"):
        assert told in page, told
    only = text_of(admin_client, f"{url('operations_history')}?of=caching&range={range}")
    assert "Cache hits" in only
    assert "Items waiting" not in only


def test_slots_are_weighted_means_with_bounds_and_gaps():
    now = timezone.now().replace(hour=13, minute=30)
    hour = (now - timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    for back, value, count in ((0, 10.0, 60), (1, 40.0, 20)):
        Sample.objects.create(
            span_seconds=3600, figure="a.b", at=hour - timedelta(hours=back),
            value=value, least=value - 1, most=value + 5, count=count,
        )  # fmt: skip
    times, tracks = history(RANGES["months"], ["a.b", "a.c"], now)
    track, place = tracks["a.b"], (int(hour.timestamp()) - times[0]) // (6 * 3600)
    assert track.values[place] == pytest.approx(17.5)
    assert (track.least[place], track.most[place]) == (9.0, 45.0)
    assert sum(one is not None for one in track.values) == 1
    assert set(tracks["a.c"].values) == {None}
    assert len(times) == len(track.values) == 360


def test_the_newest_minute_is_in_the_last_slot():
    now = timezone.now().replace(second=20, microsecond=0)
    Sample.objects.create(
        span_seconds=60, figure="a.b", at=now.replace(second=0), value=3, least=3, most=3
    )
    assert history(RANGES["hour"], ["a.b"], now)[1]["a.b"].values[-1] == 3
    assert history(RANGES["days"], ["a.b"], now)[1]["a.b"].values[-1] == 3


def fire(**changed):
    rule = AlertRule.objects.create(
        name=f"Bad {HTML}", figure="batches.dead_letters", for_minutes=0, threshold=1,
        **{"webhook_url": "http://127.0.0.1:1/", **changed},
    )  # fmt: skip
    alerting.evaluate(timezone.now().replace(second=0), {"batches.dead_letters": 7.0})
    notices.deliver_due()
    return rule


def test_what_fires_is_on_the_dashboard_the_list_and_in_the_history(admin_client):
    rule = fire()
    for address in (
        url("index"),
        url("operations_alertrule_changelist"),
        url("operations_alertevent_changelist"),
    ):
        page = text_of(admin_client, address)
        assert "firing" in page, address
        assert HTML not in page
        assert "Bad &lt;script&gt;" in page
    events = text_of(admin_client, url("operations_alertevent_changelist"))
    assert "firing by log: sent" in events
    assert "firing by webhook: waiting" in events
    Notice.objects.update(attempts=notices.MAX_ATTEMPTS)
    assert "webhook: given up" in text_of(admin_client, url("operations_alertevent_changelist"))
    for state, shown in (("firing", True), ("over", False), ("nonsense", True)):
        page = text_of(admin_client, f"{url('operations_alertevent_changelist')}?state={state}")
        assert ("firing by log" in page) is shown, state
    rule.delete()
    text_of(admin_client, url("index"))


def test_silencing_from_the_list_is_a_revision_and_can_be_ended(admin_client):
    rule = fire()
    address = url("operations_alertrule_changelist")
    page = admin_client.post(
        address, {"action": "silence_day", "_selected_action": [rule.pk]}, follow=True
    )
    assert "1 rule: silenced until" in page.content.decode()
    assert "silenced until" in text_of(admin_client, address)
    assert Revision.objects.filter(component="operations", reason="Silenced").count() == 1
    admin_client.post(address, {"action": "end_silence", "_selected_action": [rule.pk]})
    rule.refresh_from_db()
    assert rule.silenced_until is None


def test_a_rule_is_made_in_the_form_and_bad_input_is_refused_by_its_field(admin_client):
    form = {
        "name": "Slow", "severity": "warning", "enabled": "on", "comparison": "above",
        "figure": "operations.request_p95_seconds", "threshold": "0.5", "clear_threshold": "",
        "for_minutes": "3 minutes", "to_log": "on", "emails": "", "webhook_url": "",
    }  # fmt: skip
    address = url("operations_alertrule_add")
    bad = admin_client.post(address, form | {"figure": "no.such", "threshold": "a lot"})
    page = bad.content.decode()
    assert "Write a number" in page
    assert "no.such is not one of the available choices" in page
    assert not AlertRule.objects.exists()
    assert admin_client.post(address, form).status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.threshold, rule.clear_threshold, rule.for_minutes) == (0.5, None, 3)


def test_an_index_is_made_in_the_form(admin_client):
    form = {"name": "a", "collection": "c", "keys": "a", "enabled": "on", "database": ""}
    form |= {"reason": "", "expire_after_seconds": "1 d", "partial_filter": "", "collation": "null"}
    address = url("operations_documentindex_add")
    page = admin_client.post(address, form | {"collation": "{", "keys": "a b"}).content.decode()
    assert "Enter a valid JSON" in page
    assert admin_client.post(address, form).status_code == 302
    row = DocumentIndex.objects.get()
    assert (row.expire_after_seconds, row.partial_filter, row.collation) == (86_400, None, None)
    assert DocumentIndex.objects.filter(collation__isnull=True).exists()
    page = text_of(admin_client, url("operations_documentindex_change", row.pk))
    assert "null</textarea>" not in page
    assert "expires after 1 d" in text_of(admin_client, url("operations_documentindex_changelist"))


def test_who_may_not_look_sees_nothing_and_who_may_only_look_changes_nothing(client):
    rule = fire()
    user = User.objects.create_user("viewer", is_staff=True)
    client.force_login(user)
    for page in PAGES[:2]:
        assert client.get(url(page)).status_code == 403
    assert "What happened" not in text_of(client, url("index"))
    user.user_permissions.set(
        Permission.objects.filter(
            codename__in=("view_alertrule", "view_alertevent", "view_operationssettings")
        )
    )
    for page in ("operations_history", "operations_alertevent_changelist"):
        text_of(client, url(page))
    client.post(
        url("operations_alertrule_changelist"),
        {"action": "silence_day", "_selected_action": [rule.pk]},
    )
    rule.refresh_from_db()
    assert rule.silenced_until is None
    assert client.get(url("operations_alertevent_add")).status_code == 403
    assert AlertEvent.objects.count() == 1


def test_rules_and_indexes_are_exported_and_come_back_as_they_were():
    seeds.seed()
    AlertRule.objects.filter(name="Requests are slow").update(silenced_until=timezone.now())
    DocumentIndex(
        name="a", collection="c", keys="a, -b", partial_filter={"a": {"$gt": 1}}, source="advice"
    ).save()
    before = export_document(["operations"])
    AlertRule.objects.all().delete()
    DocumentIndex.objects.all().delete()
    apply_document(yaml.safe_load(yaml.safe_dump(before)))
    assert export_document(["operations"]) == before
    with pytest.raises(DocumentError, match="figure: Must be one of"):
        apply_document({"operations": {"alertrule": {"Requests are slow": {"figure": "x.y"}}}})
    with pytest.raises(DocumentError, match="keys: .* is no field"):
        apply_document({"operations": {"documentindex": {"a": {"keys": "a b"}}}})
    assert export_document(["operations"]) == before
