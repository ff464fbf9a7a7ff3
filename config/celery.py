"""The Celery application: workers and beat follow the live settings like every web process."""

import logging
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
    worker_ready,
)
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

logger = logging.getLogger(__name__)
app = Celery("tuneup", fixups=["optimizer.pools.services.celery_fixup:fixup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _log_as_all_others(**_: Any) -> None:
    """Keep Celery from setting up loggers in its own form; LOG_LEVEL is in force."""
    logging.config.dictConfig(settings.LOGGING)
    if app.conf.worker_redirect_stdouts:  # what tasks print
        app.log.redirect_stdouts(app.conf.worker_redirect_stdouts_level)


@worker_process_init.connect  # first: a pool keeps the connections that the watcher opens
def _trace_in_worker(**_: Any) -> None:
    from optimizer.operations import traces

    traces.start("worker")


@worker_init.connect
@worker_process_init.connect
def _watch_in_worker(**_: Any) -> None:
    from optimizer.control import watcher

    watcher.start("worker")


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


@worker_ready.connect  # the pool's first children are made by then, so they share no socket
@beat_init.connect
def _serve_metrics(**_: Any) -> None:
    from django.conf import settings

    from optimizer.operations import metrics

    if not (port := settings.CELERY_METRICS_PORT):
        return
    try:
        metrics.serve(port)
    except OSError as error:  # the tasks matter more
        logger.error("CELERY_METRICS_PORT=%d serves no metrics: %s", port, error.strerror)
