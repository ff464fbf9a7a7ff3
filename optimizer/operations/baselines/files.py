"""Baselines on disk: `.metrics/baselines/baseline_<YYYYMMDD_HHMMSS>.json`."""

import os
import re
from datetime import datetime
from pathlib import Path

import msgspec
from django.conf import settings

_NAME = re.compile(r"baseline_\d{8}_\d{6}(_\d+)?")


class Figures(msgspec.Struct, frozen=True):
    """How one endpoint answered; times in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    requests_per_second: float
    requests: int
    errors: int
    queries_per_request: float | None = None


class Baseline(msgspec.Struct, frozen=True):
    """One measurement of the running server; `optimizations` says which were on."""

    made_at: datetime
    label: str
    url: str
    requests: int
    concurrency: int
    optimizations: dict[str, bool]
    endpoints: dict[str, Figures]
    memory_bytes: dict[str, int] = {}
    redis_connections: int | None = None
    database_connections: int | None = None
    test_suite_seconds: float | None = None
    test_suite_passed: bool | None = None
    machine: dict[str, str] = {}
    versions: dict[str, str] = {}
    version: int = 1


class NoBaseline(Exception):
    """There is no such baseline, or it cannot be read."""


def folder() -> Path:
    """Return where baselines are kept."""
    return Path(settings.METRICS_HISTORY_DIR) / "baselines"


def write(baseline: Baseline) -> Path:
    """Write a baseline and return its file; a reader never sees half of it."""
    at = folder()
    at.mkdir(parents=True, exist_ok=True)
    name = f"baseline_{baseline.made_at:%Y%m%d_%H%M%S}"
    content = msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n"
    partial = at / f".{name}.{os.getpid()}"
    partial.write_bytes(content)
    number = 0
    while True:
        file = at / f"{name}{f'_{number}' if number else ''}.json"
        try:
            os.link(partial, file)  # fails where two were made within a second
        except FileExistsError:
            number += 1
            continue
        partial.unlink()
        return file


def names() -> list[str]:
    """Return the names of the kept baselines, the newest first."""
    found = (file.stem for file in folder().glob("baseline_*.json"))
    return sorted((name for name in found if _NAME.fullmatch(name)), reverse=True)


def read(name: str) -> Baseline:
    """Return a baseline by its name, its file, or `latest`. Raises NoBaseline."""
    kept = names()
    if name == "latest":
        if not kept:
            raise NoBaseline("There is no baseline yet: run manage.py measure_baseline.")
        name = kept[0]
    file = folder() / f"{name.removesuffix('.json')}.json" if _is_name(name) else Path(name)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Baseline)
    except OSError as error:
        last = ", ".join(kept[:5]) or "none"
        raise NoBaseline(f"{name} cannot be read: {error.strerror}. The last are: {last}.") from (
            error
        )
    except msgspec.DecodeError as error:  # what is no JSON, and what has other fields
        raise NoBaseline(f"{name} is no baseline: {error}") from error


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name.removesuffix(".json")) is not None
