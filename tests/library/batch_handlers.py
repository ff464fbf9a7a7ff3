"""Handlers and sources as a project has them."""

import time
from collections.abc import Iterator
from typing import Any

from optimizer.batches import Again, Entry, batch_handler, batch_source
from tests.library.models import Ledger, Setting


@batch_handler("ledger")
def ledger(items: list[Any]) -> None:
    """Note each item that is applied; an item twice is two notes."""
    Ledger.objects.bulk_create(Ledger(item=item["n"], note=item.get("note", "")) for item in items)
    for item in items:
        if item.get("poison"):
            raise ValueError(f"{item['n']} is poison")
        if item.get("again"):
            raise Again("not now")


@batch_handler("slow_ledger")
def slow_ledger(items: list[Any]) -> None:
    """Note each item, in no hurry: there is time to be killed half-way."""
    half = len(items) // 2
    Ledger.objects.bulk_create(Ledger(item=item["n"]) for item in items[:half])
    time.sleep(0.03)
    Ledger.objects.bulk_create(Ledger(item=item["n"]) for item in items[half:])
    time.sleep(0.03)


@batch_handler("outside", transactional=False)
def outside(items: list[Any]) -> None:
    """Note the items in transactions of one's own, as something outside the database would."""
    if any(item.get("away") for item in items):
        raise ConnectionError("it is away")
    for item in items:
        if item.get("poison"):
            raise ValueError(f"{item['n']} is poison")
    Ledger.objects.bulk_create(Ledger(item=item["n"]) for item in items)


@batch_handler("outside_notes", transactional=False)
def outside_notes(items: list[Any]) -> None:
    """Note each item by itself, as requests to somewhere else would."""
    for item in items:
        Ledger.objects.create(item=item["n"], note=item["note"])


@batch_source("settings")
def settings() -> Iterator[Entry]:
    """Give an item for each setting."""
    for setting in Setting.objects.order_by("key"):
        yield Entry({"n": setting.pk, "note": setting.key}, key=f"setting-{setting.pk}")


@batch_handler("odd_names")
def odd_names(items: list[Any]) -> None:
    """Refuse what comes, in words that hold a character no database stores."""
    raise ValueError("no such file: \udcff")
