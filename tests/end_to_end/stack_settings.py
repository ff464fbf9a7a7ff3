"""The settings of `manage.py up`, with a task that lets a test look into the Celery workers."""

from config.settings.local import *  # noqa: F403
from config.settings.local import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.end_to_end"]
