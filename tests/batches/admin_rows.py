"""What the pages of batches are shown with, and who looks at them."""

from datetime import timedelta

from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from optimizer.batches.models import Callback, DeadLetter, Item, Job, JobState, Run

HTML = "<script>alert(1)</script>"
PAGES = (
    "batches_live",
    "batches_live_fragment",
    "batches_job_changelist",
    "batches_job_add",
    "batches_deadletter_changelist",
    "batches_run_changelist",
    "batches_callback_changelist",
    "batches_item_changelist",
)


def url(name: str, *args: object, **query: str | int) -> str:
    return f"{reverse(f'admin:{name}', args=args)}?{urlencode(query)}"


def text_of(client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return str(answer.content.decode())


def letter(job: Job, number: int = 0, **changed) -> DeadLetter:
    given = {
        "item_id": number + 1,
        "key": f"key-{number}",
        "payload": f'{{"sku":"p{number}","stock":-1}}',
        "error_type": "ValidationError",
        "error": "stock: Ensure this value is greater than or equal to 0.",
        "created_at": timezone.now() - timedelta(hours=1),
    }
    return DeadLetter.objects.create(job=job, **{**given, **changed})


def fill(job: Job, numbers: range) -> None:
    """Add rows of each kind."""
    now = timezone.now()
    for number in numbers:
        letter(job, number)
        Item.objects.create(job=job, key=f"item-{number}", payload=f'{{"sku":"w{number}"}}')
        Run.objects.create(
            job=job, trigger="admin", actor="ann", state="done", total=10, done=9, failed=1,
            message="It ended.", finished_at=now,
        )  # fmt: skip
        Callback.objects.create(job=job, event="drained", body={}, error="503 away", attempts=1)
    JobState.objects.update_or_create(
        job=job,
        defaults={
            "done": 4000, "failed": 7, "retried": 5, "chunks": 8, "trips": 16, "rate": 120.0,
            "flushes": {"size": 6, "age": 2}, "latencies": {"12": 5, "20": 3},
            "last_chunk_at": now, "last_error": "stock: too small", "last_error_at": now,
        },
    )  # fmt: skip


def staff(client, *codenames: str):
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client
