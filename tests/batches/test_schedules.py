"""Schedules that nobody should set, and what others do to them."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from optimizer.batches.models import Job, Run
from optimizer.batches.services import operating, runs, schedules
from optimizer.batches.services.errors import UnknownJob
from tests.batches.admin_rows import text_of, url
from tests.batches.jobs import make
from tests.library.models import Setting

pytestmark = pytest.mark.django_db(transaction=True)
INTERVAL: dict[str, Any] = {"schedule": "interval", "every_seconds": 60}


@pytest.mark.parametrize("crontab", ["0 3 * * 7", "0 0 31 2 *", "0 3 31 4,6 *"])
def test_a_crontab_that_never_comes_is_refused(crontab):
    with pytest.raises(ValidationError) as raised:
        make("notes", handler="ledger", schedule="crontab", crontab=crontab)
    assert set(raised.value.message_dict) == {"crontab"}


def test_a_crontab_that_was_broken_elsewhere_breaks_no_page(admin_client):
    job = make("notes", handler="ledger", schedule="crontab")
    CrontabSchedule.objects.update(day_of_week="7")
    assert schedules.next_runs() == {"notes": None}
    for page in ("batches_job_changelist", "batches_live"):
        text_of(admin_client, url(page))
    text_of(admin_client, url("batches_job_status", job.pk))
    assert runs.task("notes", trigger="schedule") == "done"
    schedules.sync_all()
    assert schedules.next_runs()["notes"] is not None


def test_two_intervals_of_one_length_do_no_harm():
    for _ in range(2):
        IntervalSchedule.objects.create(every=60, period=IntervalSchedule.SECONDS)
    assert schedules.task_of(make("notes", handler="ledger", **INTERVAL).name) is not None


def test_a_job_that_is_renamed_takes_its_schedule_along():
    job = make("notes", handler="ledger", **INTERVAL)
    job.name = "letters"
    job.save()
    assert [one.name for one in PeriodicTask.objects.all()] == ["batches: letters"]
    assert runs.task("notes", trigger="schedule") == "unknown job"


@pytest.mark.parametrize(
    ("values", "later"), [(INTERVAL, 60), ({"schedule": "crontab", "crontab": "0 3 * * *"}, 90_000)]
)
def test_messages_that_waited_for_a_worker_make_up_for_one_run(values, later):
    make("notes", handler="ledger", overlap=True, **values)
    assert [runs.task("notes", trigger="schedule") for _ in range(3)] == [
        "done", "surplus", "surplus",
    ]  # fmt: skip
    Run.objects.update(started_at=timezone.now() - timedelta(seconds=later))
    assert runs.task("notes", trigger="schedule") == "done"
    assert runs.task("notes", trigger="admin") == "done"  # who asks for one gets one


def test_a_run_of_a_job_that_is_deleted_is_no_overlap():
    job = make("notes", handler="ledger")
    Job.objects.filter(pk=job.pk)._raw_delete("default")  # no process has heard of it yet
    with pytest.raises(UnknownJob):
        operating.hand_over("notes", trigger="api")


def test_a_source_whose_query_is_wrong_fails_its_run(monkeypatch):
    make("notes", handler="ledger", source="settings")

    def wrong():
        yield Setting.objects.bulk_create([Setting(key="same"), Setting(key="same")])

    monkeypatch.setattr(runs, "sources", lambda: {"settings": wrong})
    assert runs.task("notes", trigger="admin") == "failed"
