"""Celery tasks as a project has them without batches."""

import os
from typing import Any

from celery import shared_task
from django.db import connection

from optimizer.control.redis import call
from tests.library.models import Product


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
