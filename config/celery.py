"""The Celery application: workers and beat follow the live settings like every web process."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

logger = logging.getLogger(__name__)
app = Celery("tuneup", fixups=["optimizer.pools.services.celery_fixup:fixup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@worker_process_init.connect
def _watch_in_worker(**_: Any) -> None:
    from optimizer.control import watcher

    watcher.start("worker")


@worker_process_shutdown.connect
def _leave(**_: Any) -> None:
    from optimizer.control import watcher

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
