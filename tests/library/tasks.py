"""Celery tasks as a project has them without batches."""

from typing import Any

from celery import shared_task

from tests.library.models import Product


@shared_task
def store_one(item: dict[str, Any]) -> None:
    """Write one item."""
    Product.objects.update_or_create(sku=item["sku"], defaults={"stock": item["stock"]})
