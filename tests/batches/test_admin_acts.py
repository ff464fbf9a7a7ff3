"""What is done to jobs and dead letters in the admin, and what the forms refuse."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from optimizer.batches.models import Callback, DeadLetter, Item, Job, JobState, Run
from optimizer.batches.services.validation import problems
from optimizer.control import live
from tests.batches.admin_rows import fill, letter, staff, text_of, url
from tests.batches.jobs import make, state
from tests.children import children

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def form_of(client, address: str) -> dict[str, str]:
    """Return the values of a page's form, as a browser would send them."""
    form = client.get(address).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {
        name: "on" if value is True else str(value)
        for name, value in values.items()
        if value not in (None, False)
    }


def save(client, job: Job, **changed: str):
    address = url("batches_job_change", job.pk)
    given = {**form_of(client, address), **changed}
    return client.post(address, {name: one for name, one in given.items() if one})


def act(client, job: Job, action: str, door: str) -> str:
    if door == "button":
        answer = client.post(url("batches_job_act", job.pk), {"action": action}, follow=True)
    else:
        form = {"action": action, "_selected_action": [job.pk]}
        answer = client.post(url("batches_job_changelist"), form, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


DOORS = pytest.mark.parametrize("door", ["button", "list"])


@DOORS
def test_a_job_is_paused_and_goes_on(admin_client, door):
    job = make(schedule="interval")
    task = PeriodicTask.objects.get(name="batches: products")
    assert "paused; what comes in waits" in act(admin_client, job, "pause", door)
    job.refresh_from_db()
    task.refresh_from_db()
    assert (job.enabled, task.enabled) == (False, False)
    assert "goes on" in act(admin_client, job, "go_on", door)
    job.refresh_from_db()
    task.refresh_from_db()
    assert (job.enabled, task.enabled) == (True, True)
    assert "Nothing was to be done" in act(admin_client, job, "go_on", door)
    assert "Paused" in text_of(admin_client, url("batches_job_history", job.pk))


@DOORS
def test_a_stopped_job_is_resumed(admin_client, door):
    job = make()
    assert "Nothing was to be done" in act(admin_client, job, "resume", door)
    now = timezone.now()
    JobState.objects.create(
        job=job, stopped_at=now, stopped_because="too many", skipped=9, failures=3, wait_until=now
    )
    assert "1 job: resumed" in act(admin_client, job, "resume", door)
    found = state(job)
    assert (found.stopped_at, found.stopped_because, found.wait_until) == (None, "", None)
    assert (found.skipped, found.failures) == (0, 0)


@DOORS
def test_a_measurement_is_asked_for(admin_client, door):
    job = make()
    act(admin_client, job, "measure", door)
    assert state(job).wants_calibration


def queued(redis) -> list[bytes]:
    return [one for name in redis.keys("tuneup*") if redis.type(name) == b"list"
            for one in redis.lrange(name, 0, -1)]  # fmt: skip


@DOORS
@pytest.mark.django_db(transaction=True)
def test_a_run_is_handed_to_a_worker(admin_client, redis, door):
    job = make(priority="high")
    assert "waits for a worker" in act(admin_client, job, "run", door)
    run = Run.objects.get()
    assert (run.job, run.trigger, run.actor, run.state) == (job, "admin", "admin", "running")
    (message,) = [one for one in queued(redis) if b"batches.run" in one]
    assert redis.llen("tuneup-high") == 1
    assert b'"batches.run"' in message
    assert "a run is going on already" in act(admin_client, job, "run", door)
    assert redis.llen("tuneup-high") == 1


AWAY = """
from optimizer.batches.models import Job
from optimizer.batches.services import operating, runs
operating.hand_over(Job.objects.get().name, trigger="admin", actor="me")
print([one.trigger for one in runs.unfinished()])
"""


@pytest.mark.django_db(transaction=True)
def test_while_the_broker_is_away_a_run_waits_for_the_sweep():
    make()
    with children(1, AWAY, CELERY_BROKER_URL="redis://127.0.0.1:1/0") as (child,):
        child.read_until("['admin']", 60)


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"model": "shop.Nothing"}, "model", "no model"),
        ({"model": "nonsense"}, "model", "no model"),
        ({"model": "batches.Job", "key_fields": "name"}, "model", "Belongs to Tuneup itself"),
        ({"model": "library.AudioBook", "key_fields": "narrator"}, "model", "part of its rows"),
        ({"key_fields": "nowhere"}, "key_fields", "no field 'nowhere'"),
        ({"key_fields": "name"}, "key_fields", "allowed are (id), (sku)"),
        ({"fields": '{"a": "nowhere"}'}, "fields", "no field 'nowhere'"),
        ({"fields": '{"a\\u0000": "sku"}'}, "fields", "no database stores"),
        ({"fields": '{"\\ud800": "sku"}'}, "fields", "no database stores"),
        ({"sequence_field": "nowhere"}, "sequence_field", "no field 'nowhere'"),
        ({"sequence_field": "active"}, "sequence_field", "have an order"),
        ({"sequence_field": "sku"}, "sequence_field", "is one of unique_fields"),
        ({"sink": "handler", "handler": "nobody"}, "handler", "is not registered"),
        ({"sink": "mongodb", "collection": "x"}, "sink", "MONGODB_URI is not set"),
        ({"sink": "mongodb", "collection": "system.x"}, "collection", "no collection"),
        ({"source": "nobody"}, "source", "is not registered"),
        ({"callback_task": "no task"}, "callback_task", "name of a task"),
        ({"callback_task": "batches.run"}, "callback_task", "takes no message"),
        ({"sink": "http", "url": "ftp://x"}, "url", "http://"),
        ({"crontab": "every day"}, "crontab", "five parts"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said_at_its_field(admin_client, values, field, says):
    job = make()
    answer = save(admin_client, job, **values)
    assert answer.status_code == 200, "it was saved"
    assert says in " ".join(answer.context["adminform"].form.errors[field])
    job.refresh_from_db()
    assert (job.model, job.key_fields, job.sink) == ("library.Product", "sku", "model")


@pytest.mark.parametrize(
    "values",
    [
        {"sequence_field": "version", "fields": '{"id": "sku", "note": null}'},
        {"action": "insert", "sequence_field": "version"},
        {"action": "delete", "key_fields": "name, stock"},
        {"sink": "handler", "handler": "ledger", "source": "settings"},
        {"sink": "http", "url": "https://shop.example/items", "callback_task": "shop.told"},
        {"sink": "handler", "handler": "elsewhere", "source": "there", "workers_know": "on"},
    ],
    ids=str,
)
def test_what_fits_is_saved(admin_client, values):
    job = make()
    answer = save(admin_client, job, **values)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    job.refresh_from_db()
    assert all(str(getattr(job, name)) == one for name, one in values.items()
               if name not in ("fields", "workers_know"))  # fmt: skip
    page = text_of(admin_client, answer["Location"])
    promised = "At least once" if values.get("sink") == "http" else "once"
    assert promised in page


def test_a_job_is_not_a_way_around_ones_permissions(client):
    job = make()
    codenames = ["view_job", "change_job", "view_setting"]
    changer = staff(client, *codenames)
    answer = save(changer, job, model="library.Setting", key_fields="key")
    says = answer.context["adminform"].form.errors["model"]
    assert "You may not do this to its rows yourself." in says
    assert save(changer, job, chunk_items="77").status_code == 302  # what was chosen before stays


def test_a_job_that_fits_has_no_problems():
    assert problems(make()) == {}
    assert problems(Job(name="new", model="library.Product", key_fields="sku")) == {}
    assert "model" in problems(Job(name="new", model="nowhere.Nothing", key_fields="sku"))


def test_a_dead_letter_is_checked_edited_and_replayed(admin_client):
    job = make()
    live.try_to_catch_up()
    row = letter(job, payload='{"sku":"x","stock":-1,"price":"1.10"}')
    address = url("batches_deadletter_change", row.pk)
    page = text_of(admin_client, address)
    assert "\n  &quot;sku&quot;: &quot;x&quot;,\n" in page

    def post(payload: str, button: str = "save", **more: str) -> str:
        form = {"payload": payload, button: "1", **more}
        return str(admin_client.post(address, form, follow=True).content.decode())

    for bad, says in (
        ("{oops", "Must be JSON"),
        ("[" * 5000, "Must be JSON"),
        ("", "This field is required"),
        ('{"sku": "x", "name": "\\u0000"}', "Must not hold the character U+0000"),
        ('{"a": "' + "x" * 300_000 + '"}', "at most 262144 bytes"),
        ('{"sku": "x", "stock": -1}', "greater than or equal to 0"),
        ("[]", "must be an object"),
    ):
        said = post(bad)
        assert says.lower() in said.lower(), bad[:40]
        row.refresh_from_db()
        assert row.payload.startswith('{"sku":"x","stock":-1')
    assert "is saved" in post('{"sku": "x",\r\n "stock": -2}', all_the_same="on")
    row.refresh_from_db()
    assert row.payload == '{"sku":"x","stock":-2}'
    assert "back in the inbox" in post('{"sku": "x", "stock": 3}', "replay")
    assert Item.objects.get().payload == '{"sku":"x","stock":3}'
    assert Item.objects.get().key == row.key
    assert state(job).replayed == 1
    assert not DeadLetter.objects.exists()
    assert "It is gone" in post("{}", "replay")
    assert LogEntry.objects.filter(change_message="Item edited").count() == 2


def test_an_item_that_is_only_looked_at_is_not_changed(admin_client):
    payload = '{"big":12345678901234567890123,"small":0.10,"list":[1,2]}'
    row = letter(make("notes", handler="ledger"), payload=payload)
    address = url("batches_deadletter_change", row.pk)
    shown = admin_client.get(address).context["form"].stored
    form = {"payload": shown.replace("\n", "\r\n"), "save": "1"}
    assert admin_client.post(address, form).status_code == 302
    row.refresh_from_db()
    assert row.payload == payload


def test_two_who_edit_one_letter_are_told(admin_client):
    row = letter(make())
    address = url("batches_deadletter_change", row.pk)
    base = admin_client.get(address).context["form"]["base"].value()
    DeadLetter.objects.update(payload='{"sku":"other"}')
    form = {"payload": '{"sku":"mine"}', "base": base, "save": "1"}
    page = admin_client.post(address, form)
    assert "Somebody has changed the item" in page.content.decode()
    assert DeadLetter.objects.get().payload == '{"sku":"other"}'


@pytest.mark.parametrize("across", ["0", "1"])
def test_many_are_replayed(admin_client, across):
    job = make()
    rows = [letter(job, number) for number in range(120)]
    other = letter(make("notes", handler="ledger"), 500)
    form = {"action": "replay", "select_across": across, "_selected_action": [rows[0].pk]}
    address = url("batches_deadletter_changelist", job__id__exact=job.pk)
    page = admin_client.post(address, form, follow=True).content.decode()
    count = 120 if across == "1" else 1
    assert f"{count} dead letter{'s' if count > 1 else ''} back in the inbox" in page
    assert Item.objects.filter(job=job).count() == state(job).replayed == count
    assert DeadLetter.objects.filter(pk=other.pk).exists()


@pytest.mark.parametrize("across", ["0", "1"])
def test_many_are_discarded_once_it_is_confirmed(admin_client, across):
    job = make()
    rows = [letter(job, number, error=f"error {number % 2}") for number in range(120)]
    chosen = [row.pk for row in rows[:3]]
    form = {"action": "discard", "select_across": across, "_selected_action": chosen}
    address = url("batches_deadletter_changelist", q="error")
    page = admin_client.post(address, form)
    count = 120 if across == "1" else 3
    assert page.context["count"] == count
    assert f"Discard {count}</button>" in page.content.decode()
    assert DeadLetter.objects.count() == 120
    page = admin_client.post(address, {**form, "confirm": "1"}, follow=True)
    assert f"{count} dead letters discarded" in page.content.decode()
    assert DeadLetter.objects.count() == 120 - count
    assert (state(job).discarded, Item.objects.count()) == (count, 0)


def test_deleting_a_letter_is_discarding_it(admin_client):
    job = make()
    row, other = letter(job, 1), letter(job, 2)
    admin_client.post(url("batches_deadletter_delete", row.pk), {"post": "yes"})
    admin_client.post(url("batches_deadletter_change", other.pk), {"discard": "1"})
    assert state(job).discarded == 2
    assert admin_client.get(url("batches_deadletter_add")).status_code == 403


def test_a_call_back_is_tried_again(admin_client):
    fill(make(), range(2))
    first, second = Callback.objects.order_by("pk")
    Callback.objects.update(attempts=12, available_at=timezone.now() + timedelta(hours=1))
    Callback.objects.filter(pk=second.pk).update(delivered_at=timezone.now())
    form = {"action": "try_again", "_selected_action": [first.pk, second.pk]}
    page = admin_client.post(url("batches_callback_changelist"), form, follow=True)
    assert "1 call-back will be tried" in page.content.decode()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.attempts, second.attempts) == (0, 12)
    assert first.available_at <= timezone.now()


@pytest.mark.parametrize("door", ["page", "list"])
def test_a_job_is_deleted_with_all_that_is_its_own(admin_client, door):
    job, other = make(schedule="interval"), make("notes", handler="ledger")
    fill(job, range(30))
    fill(other, range(2))
    page = text_of(admin_client, url("batches_job_delete", job.pk))
    assert "30" in page
    if door == "page":
        admin_client.post(url("batches_job_delete", job.pk), {"post": "yes"})
    else:
        form = {"action": "delete_selected", "_selected_action": [job.pk], "post": "yes"}
        admin_client.post(url("batches_job_changelist"), form)
    assert not Job.objects.filter(pk=job.pk).exists()
    for model in (Item, DeadLetter, Run, Callback):
        assert model.objects.count() == 2
    assert not PeriodicTask.objects.filter(name="batches: products").exists()


def test_the_periodic_task_of_a_job_is_only_looked_at(admin_client):
    job = make(schedule="crontab")
    task = PeriodicTask.objects.get(name="batches: products")
    page = text_of(admin_client, url("django_celery_beat_periodictask_change", task.pk))
    assert "Made from the batch job of this name" in page
    assert 'name="_save"' not in page
    address = url("django_celery_beat_periodictask_change", task.pk)
    assert admin_client.post(address, {"name": "other"}).status_code == 403
    assert admin_client.post(
        url("django_celery_beat_periodictask_delete", task.pk), {"post": "yes"}
    ).status_code == 403  # fmt: skip
    sweep = PeriodicTask.objects.create(name="other", task="x", interval=None, crontab=task.crontab)
    other = text_of(admin_client, url("django_celery_beat_periodictask_change", sweep.pk))
    assert 'name="_save"' in other
    assert job.name in text_of(admin_client, url("django_celery_beat_periodictask_changelist"))
