"""What Django's own cache test suite asks of a backend, asked of ours.

Run `python -m tests.caching.django_suite`: it fetches the source of exactly the Django that is
installed, starts a Redis, and runs `cache.tests` against `caching.backends.TieredCache`, with both
tiers, with the second one alone, and within a transaction; then the tests of the cache middleware.
"""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import TestResult

from redis import Redis

from optimizer.operations import embedded_redis, guard

# Django skips these by itself where the caches "cull" and "zero_cull" are not configured, as it
# does for its own Redis backend.
EXCLUDED = {
    "test_cull": "MAX_ENTRIES is for backends that count entries; ours has a budget in bytes",
    "test_zero_cull": "the same",
    "test_cull_delete_when_store_empty": "the same",
}
_SETTINGS = """
from config.settings.test import *
from config.settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "cache"]
"""


def main() -> int:
    """Run the suite; return 0 where all of it passes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fetch(folder)
        (folder / "static").mkdir()
        (folder / "suite_settings.py").write_text(_SETTINGS, encoding="utf-8")
        sys.path.insert(0, name)
        server = embedded_redis.configure(folder / "redis", embedded_redis.find_server())
        os.environ |= {
            "TUNEUP_VAR_DIR": name,
            "DJANGO_SETTINGS_MODULE": "suite_settings",
            "REDIS_URL": server.url,
        }
        os.environ.pop("DATABASE_URL", None)
        process = guard.spawn(server.command, output=subprocess.DEVNULL)
        try:
            while not embedded_redis.answers(server.url):
                time.sleep(0.05)
            result = _run()
        finally:
            guard.sweep(process)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    write = sys.stdout.write
    skipped = {test.id().rpartition(".")[2]: why for test, why in result.skipped}
    for test, why in sorted(skipped.items()):
        write(f"excluded: {test}: {EXCLUDED.get(test, f'NOT EXPECTED: {why}')}\n")
    bad += len(skipped.keys() - EXCLUDED.keys())
    write(f"{result.testsRun - len(result.skipped) - bad} passed, {bad} failed\n")
    return 1 if bad else 0


def _fetch(folder: Path) -> None:
    """Bring the package `cache` of Django's tests into a folder."""
    version = importlib.metadata.version("django")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
            "--no-deps", "--no-binary", "django", f"django=={version}", "--dest", str(folder),
        ],
        check=True,
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            _, _, inside = member.name.partition("/tests/cache/")
            if inside and member.isfile():
                member.name = f"cache/{inside}"
                source.extract(member, folder, filter="data")


def _run() -> TestResult:
    import django

    django.setup()
    from django.test.runner import DiscoverRunner

    class Runner(DiscoverRunner):
        def suite_result(self, suite: unittest.TestSuite, result: Any, **kwargs: Any) -> Any:
            return result

    runner: Any = Runner(verbosity=1, interactive=False)
    suite = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(one) for one in _cases()
    )
    runner.setup_test_environment()
    databases = runner.setup_databases()
    try:
        found: TestResult = runner.run_suite(suite)
    finally:
        runner.teardown_databases(databases)
        runner.teardown_test_environment()
    return found


def _cases() -> list[type[unittest.TestCase]]:
    """Django's tests, as classes over our backend."""
    from cache import tests as theirs  # type: ignore[import-not-found]  # from the folder
    from django.conf import settings
    from django.test import TestCase, TransactionTestCase, override_settings

    from caching.models import Namespace
    from caching.services import engines
    from optimizer.control import live

    own = {"BACKEND": engines.BACKEND, "LOCATION": "redis"}
    redis = {"redis": settings.CACHES["redis"]}
    several = theirs.caches_setting_for_tests(own, exclude={"cull", "zero_cull"}) | redis

    def anew() -> None:
        with Redis.from_url(os.environ["REDIS_URL"]) as client:
            client.flushdb()  # what a rolled-back clear() leaves
        live.forget_all()
        engines.stop_all()

    class Tiered(theirs.BaseCacheTests, TransactionTestCase):  # type: ignore[misc]
        def setUp(self) -> None:
            anew()
            super().setUp()

    class SecondTierAlone(Tiered):
        def setUp(self) -> None:
            super().setUp()
            Namespace.objects.create(name="default", l1=False)

    class InTransaction(theirs.BaseCacheTests, TestCase):  # type: ignore[misc]
        def setUp(self) -> None:
            anew()
            super().setUp()

    middleware = (theirs.CacheMiddlewareTest, theirs.CacheHEADTest, theirs.CacheI18nTest)
    cases: list[Any] = [override_settings(CACHES=several)(one) for one in (Tiered, SecondTierAlone)]
    cases.append(override_settings(CACHES=several)(InTransaction))
    for base in middleware:
        one = type(f"Tiered{base.__name__}", (base,), {"databases": {"default"}, "__module__": ""})
        other = own | {"KEY_PREFIX": "other", "TIMEOUT": "1"}
        as_theirs = override_settings(
            CACHES={"default": own, "other": other, **redis}, LANGUAGE_CODE="en", USE_TZ=False
        )
        cases.append(as_theirs(one))
    return cases


if __name__ == "__main__":
    sys.exit(main())
