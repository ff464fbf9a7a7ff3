"""What the Celery workers of the running stack do for a test."""

import json
import os
import time

from celery import Task, shared_task

from optimizer.control.redis import call
from ratelimit import limiter
from ratelimit.guards import limited_task


@shared_task
def decide(subject: str, answers: str) -> None:
    """Decide in this worker and leave the answer in a Redis list."""
    decision = limiter.check(subject)
    answer = json.dumps({"pid": os.getpid(), "limit": decision.limit.capacity})
    call(lambda r: r.rpush(answers, answer))
    time.sleep(0.2)  # so that the next message goes to the other worker


@shared_task(bind=True)
@limited_task(subject=lambda subject, answers: subject)
def limited(task: Task, subject: str, answers: str) -> None:
    """Leave a mark when the limit lets it."""
    call(lambda r: r.rpush(answers, time.time_ns()))
