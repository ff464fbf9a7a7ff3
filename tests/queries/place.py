"""A test database outside pytest, for the score and the benchmark."""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

DATABASES = ("sqlite", "postgresql")


@contextmanager
def place(database: str = "sqlite", apps: Sequence[str] = (), **more: Any) -> Iterator[None]:
    """Set Django up over an empty test database, a file or a private cluster.

    `apps` and `more` are added to the settings of the tests. Once a process. Raises SystemExit
    where PostgreSQL has no server here.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    os.environ.pop("DATABASE_URL", None)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tuneup-score-"))
        os.environ["TUNEUP_VAR_DIR"] = folder
        os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"  # no case needs one
        os.mkdir(os.path.join(folder, "static"))
        if database == "postgresql":
            os.environ["DATABASE_URL"] = stack.enter_context(_cluster())
        import django
        from django.conf import settings

        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *apps]
        for name, value in more.items():
            setattr(settings, name, value)
        django.setup()
        logging.getLogger("celery").setLevel(logging.WARNING)
        from django.test.runner import DiscoverRunner

        runner = DiscoverRunner(verbosity=0, interactive=False)
        runner.setup_test_environment()
        stack.callback(runner.teardown_test_environment)
        made = runner.setup_databases()
        stack.callback(runner.teardown_databases, made)
        yield


def _cluster() -> AbstractContextManager[str]:
    from optimizer.operations.private_postgres import find_binaries, private_postgres

    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    return private_postgres(binaries)
