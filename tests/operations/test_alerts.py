"""Alert rules: when they fire, when they are over, who is told, and once only."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from optimizer.control import webhooks
from optimizer.operations import tasks
from optimizer.operations.engine.hysteresis import FIRING, OK, PENDING, Standing, Threshold, step
from optimizer.operations.models import AlertEvent, AlertRule, AlertState, Notice
from optimizer.operations.services import alerting, notices, seeds
from optimizer.queries import watch as query_watch
from tests.batches.receiver import receiver
from tests.children import children

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

BEGIN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
FIGURE = "batches.waiting_items"


def rule(**changed):
    given = {"name": "Too many", "figure": FIGURE, "threshold": 10.0, "for_minutes": 2}
    row = AlertRule(**{**given, **changed})
    row.full_clean()
    row.save()
    return row


def look(*values, begin=0):
    """Look once a minute at these values of the figure; return the states."""
    states = []
    for at, value in enumerate(values, begin):
        told = {} if value is None else {FIGURE: float(value)}
        alerting.evaluate(BEGIN + timedelta(minutes=at), told)
        states.append(AlertState.objects.values_list("state", flat=True).first())
    return states


def test_it_fires_after_its_time_and_is_over_past_the_second_threshold():
    rule(clear_threshold=5.0)
    assert look(10, 11, 12, 13) == [OK, PENDING, PENDING, FIRING]
    assert look(7, 9, 20, None, 6, begin=4) == [FIRING] * 5
    assert look(5, 7, begin=9) == [OK, OK]
    event = AlertEvent.objects.get()
    assert (event.value, event.worst) == (13.0, 20.0)
    assert event.started_at == BEGIN + timedelta(minutes=3)
    assert event.resolved_at is not None
    assert event.condition == "Items waiting above 10 items for 2 min"
    assert list(event.notices.values_list("kind", "channel")) == [
        ("firing", "log"),
        ("resolved", "log"),
    ]


def test_below_is_the_other_way_round():
    rule(comparison="below", threshold=10, clear_threshold=15, for_minutes=0)
    assert look(10, 9, 4, 14, 15, 11) == [OK, FIRING, FIRING, FIRING, OK, OK]
    assert AlertEvent.objects.get().worst == 4


@pytest.mark.parametrize("gap", [[None], [10]])
def test_what_interrupts_the_delay_starts_it_anew(gap):
    rule()
    assert look(11, 11, *gap, 11, 11, 11)[-3:] == [PENDING, PENDING, FIRING]


def test_minutes_in_which_nobody_looked_start_the_delay_anew():
    rule()
    assert look(11) == [PENDING]
    assert look(11, 11, 11, begin=30) == [PENDING, PENDING, FIRING]


def test_a_minute_is_looked_at_once():
    rule(for_minutes=0)
    look(11)
    alerting.evaluate(BEGIN, {FIGURE: 0.0})
    alerting.evaluate(BEGIN - timedelta(minutes=1), {FIGURE: 0.0})
    assert AlertState.objects.get().state == FIRING
    assert Notice.objects.count() == 1


LOOK = f"""
import sys
from datetime import datetime, timedelta, UTC
from optimizer.operations.services import alerting, notices
print("ready")
sys.stdin.readline()
for minute in range(15):
    value = 20.0 if minute % 6 < 3 else 0.0
    alerting.evaluate(datetime(2026, 11, 30, 12, minute, tzinfo=UTC), {{"{FIGURE}": value}})
    notices.deliver_due()
print("done")
"""


def test_several_beats_and_workers_tell_everything_once():
    with receiver() as other:
        rule(for_minutes=0, webhook_url=other.url)
        with children(3, LOOK) as started:
            for child in started:
                child.read_until("ready", 60)
            for child in started:
                child.say("go")
            for child in started:
                child.read_until("done", 120)
        while notices.deliver_due():
            pass
    assert AlertEvent.objects.count() == 3
    assert AlertEvent.objects.filter(resolved_at=None).count() == 1
    assert Notice.objects.filter(channel="log", attempts=1).count() == 5
    kinds = sorted(one["type"] for one in other.bodies)
    assert kinds == ["alerts.firing"] * 3 + ["alerts.resolved"] * 2


def test_watching_many_rules_repeats_no_query():
    for number in range(12):
        rule(name=f"rule {number}", for_minutes=0)
    for minute, value in enumerate((11, 12, 3)):
        with query_watch() as findings:
            look(value, begin=minute)
        assert [str(one) for one in findings if "alerting.py" in one.location] == []
    assert AlertEvent.objects.exclude(resolved_at=None).count() == 12


def test_the_task_keeps_looks_and_tells():
    rule(comparison="below", threshold=1.0, for_minutes=0)
    assert tasks.watch() == 1
    assert tasks.watch() == 0
    assert AlertEvent.objects.get().value == 0
    assert tasks.forget() == 0


def test_a_silenced_rule_tells_what_still_holds_when_the_silence_is_over():
    row = rule(for_minutes=0, silenced_until=timezone.now() + timedelta(hours=1))
    look(11, 12)
    assert AlertEvent.objects.get().told_at is None
    assert not Notice.objects.exists()
    row.silenced_until = timezone.now() - timedelta(seconds=1)
    row.save()
    look(13, 14, begin=2)
    assert list(Notice.objects.values_list("kind", flat=True)) == ["firing"]


def test_of_what_was_silenced_all_the_time_nobody_hears():
    rule(for_minutes=0, silenced_until=timezone.now() + timedelta(hours=1))
    look(11, 0)
    assert AlertEvent.objects.get().resolved_at is not None
    assert not Notice.objects.exists()


@pytest.mark.parametrize("gone", ["off", "deleted"])
def test_an_alert_ends_with_its_rule(gone):
    row = rule(for_minutes=0)
    look(11)
    if gone == "off":
        row.enabled = False
        row.save()
    else:
        row.delete()
    alerting.evaluate(BEGIN + timedelta(minutes=1), {FIGURE: 11.0})
    event = AlertEvent.objects.get()
    assert event.resolved_at is not None
    assert event.ended_by == "the rule is off or gone"
    if gone == "off":
        row.enabled = True
        row.save()
        assert look(11, begin=2) == [FIRING]
        assert AlertEvent.objects.count() == 2


def test_a_webhook_is_signed_and_tried_again_until_it_arrives(settings):
    settings.WEBHOOK_SECRET = "whsec_c2VjcmV0"
    with receiver() as other:
        other.answer = lambda _: (500, {}) if len(other.bodies) < 2 else (200, {})
        rule(for_minutes=0, to_log=False, webhook_url=other.url)
        look(11)
        assert notices.deliver_due() == 0
        assert Notice.objects.get().error == "500 Internal Server Error"
        assert notices.deliver_due() == 0  # its time has not come
        for _ in range(2):
            Notice.objects.update(available_at=timezone.now())
            notices.deliver_due()
    notice = Notice.objects.get()
    assert (notice.attempts, notice.error) == (3, "")
    assert notice.delivered_at is not None
    assert notices.deliver_due() == 0
    assert {one["webhook-id"] for one in other.headers} == {f"alert_{notice.pk}"}
    body, head = other.raw[0], other.headers[0]
    assert head["webhook-signature"] == webhooks.sign(
        "whsec_c2VjcmV0", head["webhook-id"], int(head["webhook-timestamp"]), body
    )
    told = other.bodies[0]
    assert (told["type"], told["name"], told["value"]) == ("alerts.firing", "Too many", 11.0)


def test_a_receiver_that_is_away_is_no_error_of_ours_and_is_given_up_in_the_end():
    rule(for_minutes=0, to_log=False, webhook_url="http://127.0.0.1:1/")
    look(11)
    for _ in range(notices.MAX_ATTEMPTS + 2):
        Notice.objects.update(available_at=timezone.now())
        notices.deliver_due()
    notice = Notice.objects.get()
    assert notice.attempts == notices.MAX_ATTEMPTS
    assert "ConnectError" in notice.error


def test_mail_says_what_when_and_how_bad(settings, mailoutbox):
    rule(for_minutes=0, to_log=False, emails="a@example.com, b@example.com", severity="critical")
    look(11)
    assert notices.deliver_due() == 0
    assert "EMAIL_URL is not set" in Notice.objects.all()[0].error
    settings.EMAIL_URL = "memorymail://"
    Notice.objects.update(available_at=timezone.now())
    assert notices.deliver_due() == 2
    look(3, begin=1)
    notices.deliver_due()
    assert [one.subject for one in mailoutbox] == ["[Tuneup] Alert: Too many"] * 2 + [
        "[Tuneup] Resolved: Too many"
    ] * 2
    assert "Items waiting above 10 items." in mailoutbox[0].body
    assert "Severity: critical" in mailoutbox[0].body
    assert "Over: " in mailoutbox[-1].body


def test_the_log_tells_by_severity(caplog):
    rule(for_minutes=0, severity="critical")
    look(11, 0)
    notices.deliver_due()
    told = [(one.levelname, one.message) for one in caplog.records if "Too many" in one.message]
    assert told == [
        ("ERROR", "Alert: Too many (Items waiting above 10 items: 11 items)"),
        ("INFO", "Resolved: Too many (Items waiting above 10 items: 11 items)"),
    ]


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"figure": "batches.nothing"}, "figure", "Must be one of"),
        ({"clear_threshold": 11.0}, "clear_threshold", "the threshold (10) or below"),
        (
            {"comparison": "below", "clear_threshold": 9.0},
            "clear_threshold",
            "the threshold (10) or above",
        ),
        ({"threshold": float("nan")}, "threshold", "Must be a number"),
        ({"for_minutes": 1441}, "for_minutes", "between 0 minutes and 1\u202f440 minutes"),
        ({"emails": "a@example.com, nobody"}, "emails", "'nobody' is no e-mail address"),
        ({"webhook_url": "ftp://a"}, "webhook_url", "an address with http"),
        ({"name": "two\nlines"}, "name", "one line"),
        ({"severity": "loud"}, "severity", "not a valid choice"),
    ],
)
def test_a_bad_rule_is_refused_by_its_field(changed, field, says):
    with pytest.raises(ValidationError) as caught:
        rule(**changed)
    assert says in " ".join(caught.value.message_dict[field])


def test_the_first_rules_are_good_and_are_not_written_twice():
    seeds.seed()
    assert AlertRule.objects.count() == 7
    AlertRule.objects.all()[0].delete()
    seeds.seed()
    assert AlertRule.objects.count() == 6


def test_old_alerts_go_and_those_that_fire_stay():
    row = rule(for_minutes=0)
    look(11, 0, 11)
    AlertEvent.objects.update(started_at=timezone.now() - timedelta(days=400))
    AlertEvent.objects.exclude(resolved_at=None).update(
        resolved_at=timezone.now() - timedelta(days=399)
    )
    assert notices.forget() == 1 + 2
    assert AlertEvent.objects.get().rule == row


def test_no_path_of_values_fires_early_or_ends_early():
    threshold = Threshold(True, 10.0, 5.0, 120.0)
    values = [None, 4.0, 5.0, 6.0, 10.0, 11.0]
    state, run = Standing(OK, 0.0), 0
    for number in range(6**5):
        value = values[(number * 2654435761 >> 7) % 6]
        before, state = state, step(state, value, 60.0 * number, threshold)
        run = run + 1 if value == 11.0 else 0
        if state.state == FIRING and before.state != FIRING:
            assert run >= 3  # the first, and two minutes later
        if before.state == FIRING and state.state != FIRING:
            assert value is not None and value <= 5.0
        if run >= 3:
            assert state.state == FIRING


def test_what_a_killed_worker_had_in_hand_is_told_by_the_next():
    with receiver() as other:
        rule(for_minutes=0, to_log=False, webhook_url=other.url)
        asked = threading.Event()

        def hang(_: object) -> tuple[int, dict[str, str]]:
            asked.set()
            time.sleep(2)  # the worker is killed meanwhile
            return 200, {}

        other.answer = hang
        with children(1, LOOK) as (child,):
            child.read_until("ready", 60)
            child.say("go")
            assert asked.wait(60)
            child.process.kill()
            child.process.wait()
        other.answer = lambda _: (200, {})
        notice = Notice.objects.get()
        assert (notice.attempts, notice.delivered_at) == (1, None)
        assert notices.deliver_due() == 0  # it is leased
        Notice.objects.update(available_at=timezone.now())
        assert notices.deliver_due() == 1
    assert AlertState.objects.get().state == FIRING
    assert {one["id"] for one in other.bodies} == {f"alert_{notice.pk}"}
