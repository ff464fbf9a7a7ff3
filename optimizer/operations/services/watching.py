"""What is done each minute: keep the figures, look at the rules, tell what is to be told.

Beat asks a worker for it. Where no worker does, the processes that serve stand in: an alert that
something is away must not need what is away. Done twice it does no harm.
"""

import logging
import os
import threading
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from optimizer.control import ticker
from optimizer.operations.selectors.history import latest
from optimizer.operations.services import alerting, notices, samples

logger = logging.getLogger(__name__)

STAND_IN_AFTER = timedelta(seconds=130)  # two minutes of which nobody has kept anything
_running = threading.Lock()


def watch() -> int:
    """Do it once; return how many notices arrived."""
    minute, values = samples.take()
    samples.roll_up()
    alerting.evaluate(minute, values)
    return notices.deliver_due()


def stand_in() -> bool:
    """Do what a worker has not done for two minutes; say whether that was so."""
    newest = latest()
    if newest is not None and timezone.now() - newest < STAND_IN_AFTER:
        return False
    watch()
    return True


def turn() -> None:
    """Look whether to stand in, in a thread of its own: the ticker must not wait."""
    if settings.WATCH_LIVE_SETTINGS and not ticker.is_last() and _running.acquire(blocking=False):
        threading.Thread(target=_turn, name="tuneup-stand-in", daemon=True).start()


def _turn() -> None:
    try:
        stand_in()
    except DatabaseError as error:
        logger.warning("Figures and alerts wait for the database: %s", error)
    except Exception:  # the next turn tries again
        logger.exception("Figures and alerts failed in this turn")
    finally:
        connections.close_all()
        _running.release()


def _after_fork() -> None:
    global _running
    _running = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
