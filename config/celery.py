"""The Celery application: workers and beat follow the live settings like every web process."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

app = Celery("tuneup")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _log_as_all_others(**_: Any) -> None:
    """Keep Celery from setting up loggers in its own form; LOG_LEVEL is in force."""
    logging.config.dictConfig(settings.LOGGING)
    if app.conf.worker_redirect_stdouts:  # what tasks print
        app.log.redirect_stdouts(app.conf.worker_redirect_stdouts_level)


@worker_init.connect
@worker_process_init.connect
def _watch_in_worker(**_: Any) -> None:
    from optimizer.control import watcher

    watcher.start("worker")


@worker_process_init.connect
def _trace_in_worker(**_: Any) -> None:
    from optimizer.operations import traces

    traces.start("worker")


@worker_process_shutdown.connect
def _leave(**_: Any) -> None:
    from optimizer.control import watcher
    from optimizer.operations import traces

    traces.stop()
    watcher.stop()  # a pool's child ends without atexit


@beat_init.connect
def _watch_in_beat(**_: Any) -> None:
    from optimizer.control import watcher

    watcher.start("beat")
