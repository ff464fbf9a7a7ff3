"""Where no worker keeps figures and looks at alerts, a serving process does."""

from datetime import timedelta

import pytest
from django.utils import timezone

from optimizer.operations.models import AlertEvent, AlertRule, Notice, Sample
from optimizer.operations.services import watching
from tests.children import children
from tests.control.test_propagation import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def kept(ago):
    Sample.objects.create(
        span_seconds=60, figure="a.b", at=timezone.now() - ago, value=1, least=1, most=1
    )


@pytest.mark.usefixtures("redis")
def test_nobody_stands_in_while_a_worker_does_it():
    kept(timedelta(seconds=90))
    assert not watching.stand_in()
    assert Sample.objects.count() == 1


@pytest.mark.usefixtures("redis_away")
def test_redis_away_is_told_although_no_worker_can_be_asked():
    AlertRule.objects.create(name="Away", figure="operations.failing_checks", for_minutes=0)
    kept(timedelta(seconds=150))
    assert watching.stand_in()
    assert AlertEvent.objects.get().name == "Away"
    assert Notice.objects.get().delivered_at is not None
    assert not watching.stand_in()


SERVE = """
from optimizer.control import ticker
from optimizer.operations.services import watching
ticker._jobs = [(watching.turn, 1)]  # each turn: the test is not to wait half a minute
ticker.ensure()
print("ready")
import time
time.sleep(120)
"""


@pytest.mark.usefixtures("redis")
def test_several_processes_stand_in_and_keep_each_minute_once():
    AlertRule.objects.create(name="Away", figure="operations.failing_checks", for_minutes=0)
    with children(2, SERVE) as started:
        for child in started:
            child.read_until("ready", 60)
        wait_until(lambda: Notice.objects.exclude(delivered_at=None).exists())
    assert AlertEvent.objects.count() == Notice.objects.count() == 1
    figures = list(Sample.objects.filter(figure="operations.failing_checks"))
    assert len({one.at for one in figures}) == len(figures) >= 1
