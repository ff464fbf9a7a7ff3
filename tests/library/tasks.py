"""Celery tasks as a project has them without batches."""

import logging
import os
import sys
from typing import Any

from celery import shared_task
from django.db import connection

from optimizer.control.models import ControlSettings
from optimizer.control.redis import call
from tests.library.models import Product

logger = logging.getLogger("bot.tasks")


@shared_task
def store_one(item: dict[str, Any]) -> None:
    """Write one item."""
    Product.objects.update_or_create(sku=item["sku"], defaults={"stock": item["stock"]})


@shared_task
def ask_the_database(answers: str) -> None:
    """Leave which server process answered, and which worker asked, in a Redis list."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    call(lambda r: r.rpush(answers, f"{os.getpid()}:{backend}"))


@shared_task(name="library.tune")
def tune(expiry_seconds: int, others: int = 0) -> None:
    """Change a setting, then have as many other tasks do the same, one after the other."""
    logger.info("Tuning to %s", expiry_seconds)
    ControlSettings(process_expiry_seconds=expiry_seconds).save()
    if others:
        tune.delay(expiry_seconds + 1, others - 1)


@shared_task(name="library.fail")
def fail() -> None:
    """Print and fail, with a secret in the message."""
    sys.stdout.write("printed by a task\n")
    raise ValueError("no answer from redis://:geheim@host:6379/0")
