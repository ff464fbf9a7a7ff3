"""Runs and schedules: all that waits, what a source gives; never two where they are forbidden."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from optimizer.batches import submit, submit_many
from optimizer.batches.live import batches
from optimizer.batches.models import Callback, Item, Job, Run
from optimizer.batches.services import runs, schedules, sweeping
from tests.batches.jobs import left, make, work
from tests.library.models import Ledger, Setting

pytestmark = pytest.mark.django_db(transaction=True)


def run(name: str, **given) -> Run:
    runs.task(name, **{"trigger": "schedule", **given})
    return Run.objects.all()[0]


def periodic(name: str) -> Any:
    """Return the periodic task of a job that has one."""
    return schedules.task_of(name)


def test_a_run_takes_all_that_waits_however_young():
    job = make("notes", handler="ledger", flush_seconds=600, idle_seconds=600, chunk_items=50)
    submit_many(job.name, [{"n": n, "poison": n == 5} for n in range(35)])
    assert work(job.name).ended == "not due"
    done = run(job.name)
    assert (done.state, done.total, done.done, done.failed) == ("done", 35, 34, 1)
    assert left(job) == 0
    assert done.finished_at is not None


def test_a_job_that_works_in_runs_alone_waits_for_one():
    job = make("notes", handler="ledger", only_in_runs=True)
    submit(job.name, {"n": 1})
    assert work(job.name).done == 0
    assert sweeping.waiting_jobs() == []
    assert run(job.name).done == 1


def test_a_source_gives_a_run_its_items_once_even_if_it_is_interrupted(monkeypatch):
    Setting.objects.bulk_create(Setting(key=f"s{n}", value="") for n in range(25))
    job = make("notes", handler="ledger", source="settings")
    with monkeypatch.context() as patch:

        def lost(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(runs, "drain", lost)
        with pytest.raises(KeyboardInterrupt):
            run(job.name)
    begun = Run.objects.get()
    assert (begun.state, begun.total) == ("running", 25)
    assert runs.task(job.name, trigger="schedule") == "overlap"
    assert runs.task(job.name, trigger="schedule", run_id=begun.pk) == "elsewhere"
    Run.objects.update(seen_at=timezone.now() - timedelta(minutes=1), collected=False)
    assert [one.pk for one in runs.unfinished()] == [begun.pk]
    assert runs.task(job.name, trigger="schedule", run_id=begun.pk) == "done"
    assert sorted(Ledger.objects.values_list("item", flat=True)) == sorted(
        Setting.objects.values_list("pk", flat=True)
    )


def test_a_source_that_is_not_there_fails_the_run():
    make("notes", handler="ledger", source="nobody")
    failed = run("notes")
    assert failed.state == "failed"
    assert "'nobody' is not registered" in failed.message


def test_two_runs_of_a_job_only_where_it_allows_them():
    make("notes", handler="ledger")
    runs.begin("notes", trigger="admin")
    with pytest.raises(runs.Overlap):
        runs.begin("notes", trigger="admin")
    make("notes", handler="ledger", overlap=True)
    runs.begin("notes", trigger="admin")
    runs.begin("notes", trigger="admin")
    assert Run.objects.filter(state="running").count() == 3


def test_the_schedule_is_django_celery_beats():
    job = make("notes", handler="ledger", schedule="interval", every_seconds=90)
    task = periodic(job.name)
    assert task.interval.every == 90 and task.enabled
    make("notes", handler="ledger", schedule="crontab", crontab="30 2 * * 1-5",
         time_zone="Europe/Berlin")  # fmt: skip
    task = periodic(job.name)
    assert task.interval is None
    assert str(task.crontab).startswith("30 2 * * 1-5") and "Berlin" in str(task.crontab.timezone)
    due = schedules.next_runs()[job.name]
    assert due is not None and due > timezone.now()
    make("notes", handler="ledger", schedule="crontab", schedule_on=False)
    assert periodic(job.name).enabled is False
    assert schedules.next_runs()[job.name] is None
    make("notes", handler="ledger", schedule="none")
    assert schedules.task_of(job.name) is None


def test_a_schedule_that_was_changed_elsewhere_is_mended():
    job = make("notes", handler="ledger", schedule="interval", every_seconds=90)
    PeriodicTask.objects.filter(name=schedules.name_of(job.name)).update(enabled=False)
    PeriodicTask.objects.create(
        name=schedules.name_of("gone"), task=schedules.TASK,
        interval=periodic(job.name).interval,
    )  # fmt: skip
    sweeping.forget()
    assert periodic(job.name).enabled
    assert schedules.task_of("gone") is None
    Job.objects.get(name=job.name).delete()
    assert schedules.task_of(job.name) is None


@pytest.mark.parametrize(
    ("missed", "hours", "state"), [("run", 3, "done"), ("skip", 3, "skipped"), ("skip", 0, "done")]
)
def test_a_missed_run_is_made_up_for_or_left_out(missed, hours, state):
    job = make("notes", handler="ledger", schedule="interval", every_seconds=3600, missed=missed)
    task = periodic(job.name)
    since = timezone.now() - timedelta(hours=hours + 1, seconds=5)
    task.description = f"{schedules._SINCE}{since.isoformat()}"
    task.save()
    assert run(job.name).state == state
    Run.objects.update(started_at=timezone.now() - timedelta(hours=1))
    assert run(job.name).state == "done"  # the next one is in time


@pytest.mark.parametrize("values", [
    {"crontab": "* * *"}, {"crontab": "61 * * * *"}, {"time_zone": "Mars/Base"},
])  # fmt: skip
def test_a_bad_schedule_is_named(values):
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError) as raised:
        make("notes", handler="ledger", schedule="crontab", **values)
    assert set(raised.value.message_dict) == set(values)


def test_old_runs_are_forgotten():
    make("notes", handler="ledger")
    run("notes")
    Run.objects.update(finished_at=timezone.now() - timedelta(days=31))
    Callback.objects.create(job=Job.objects.get(), event="run", body={},
                            created_at=timezone.now() - timedelta(days=31))  # fmt: skip
    found = sweeping.forget()
    assert (found["runs"], found["callbacks"]) == (1, 1)
    assert batches.current().keep_runs_days == 30
    assert not Item.objects.exists()
