"""Makes a baseline: drives each endpoint, and gathers the facts around it."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from optimizer.control import keys
from optimizer.operations import switching
from optimizer.operations.baselines import facts
from optimizer.operations.baselines.files import Baseline, Figures
from optimizer.operations.baselines.load import Endpoint, Sample, drive, endpoints

PATHS = ("/health", "/ready", "/metrics", "/api/", "/api/overview")
OBEY_SECONDS = 15.0
Say = Callable[[str], None]


@contextmanager
def own_key(given: str = "") -> Iterator[str]:
    """Give a key that may read the endpoints, which ends with the measurement."""
    if given:
        yield given
        return
    row, token = keys.issue(
        name=f"baseline-{secrets.token_hex(4)}",
        scopes=["operations"],
        expires_at=timezone.now() + timedelta(hours=2),
    )
    try:
        switching.wait(OBEY_SECONDS)  # until every process knows it
        yield token
    finally:
        row.delete()


def measure(
    url: str, *, key: str, label: str, requests: int, concurrency: int, say: Say
) -> Baseline:
    """Drive every endpoint once, one after the other. Raises load.Unreachable."""
    samples = {
        one.path: _driven(url, one, key, requests, concurrency, say) for one in endpoints(PATHS)
    }
    return gather(url, samples, key=key, label=label, requests=requests, concurrency=concurrency)


def compare(
    url: str,
    chosen: Sequence[switching.Switch],
    *,
    key: str,
    requests: int,
    concurrency: int,
    rounds: int,
    say: Say,
) -> tuple[Baseline, Baseline]:
    """Measure with the optimizations off and on in turns, so that drift hits both alike.

    Returns the baselines of off and on; the switches are put back as they stood. Raises
    load.Unreachable and switching.NotObeyed.
    """
    paths = endpoints(PATHS)
    samples: dict[bool, dict[str, Sample]] = {
        on: {one.path: Sample() for one in paths} for on in (False, True)
    }
    found: dict[bool, Baseline] = {}
    share = max(1, requests // rounds)
    names = [one.component for one in chosen]
    with switching.kept(chosen, reason="Measured: put back as it was"):
        for number in range(rounds):
            for on in (False, True):
                word = "on" if on else "off"
                say(f"round {number + 1} of {rounds}: optimizations {word}")
                switching.turn(switching.switches(names), on=on, reason=f"Measured {word}")
                switching.wait(OBEY_SECONDS)
                for one in paths:
                    sample = drive(url, one, key=key, requests=share, concurrency=concurrency)
                    samples[on][one.path].add(sample)
                if number == rounds - 1:
                    found[on] = gather(
                        url,
                        samples[on],
                        key=key,
                        label=f"optimizations {word}",
                        requests=share * rounds,
                        concurrency=concurrency,
                    )
    return found[False], found[True]


def gather(
    url: str,
    samples: dict[str, Sample],
    *,
    key: str,
    label: str,
    requests: int,
    concurrency: int,
) -> Baseline:
    """Return the baseline of samples, with the facts as they are now."""
    told = {one.path: facts.queries_per_request(url, one, key) for one in endpoints(list(samples))}
    return Baseline(
        made_at=timezone.now(),
        label=label,
        url=url,
        requests=requests,
        concurrency=concurrency,
        optimizations={one.component: one.is_on for one in switching.switches()},
        endpoints={path: _figures(sample, told[path]) for path, sample in samples.items()},
        memory_bytes=facts.memory_by_role(),
        redis_connections=facts.redis_connections(),
        database_connections=facts.database()[1],
        machine=facts.machine(),
        versions=facts.versions(),
    )


def run_test_suite() -> tuple[float, bool]:
    """Run `manage.py test`; return the seconds it took, and whether it passed."""
    started = time.monotonic()
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "test", "-q"]
    done = subprocess.run(command, cwd=settings.BASE_DIR)  # noqa: S603  # our own command
    return time.monotonic() - started, done.returncode == 0


def _driven(
    url: str, endpoint: Endpoint, key: str, requests: int, concurrency: int, say: Say
) -> Sample:
    say(endpoint.path)
    return drive(url, endpoint, key=key, requests=requests, concurrency=concurrency)


def _figures(sample: Sample, queries: float | None) -> Figures:
    return Figures(
        p50_ms=round(sample.quantile_ms(0.5), 4),
        p95_ms=round(sample.quantile_ms(0.95), 4),
        p99_ms=round(sample.quantile_ms(0.99), 4),
        mean_ms=round(sample.mean_ms, 4),
        requests_per_second=round(sample.per_second, 1),
        requests=len(sample.seconds),
        errors=sample.errors,
        queries_per_request=queries,
    )
