"""Settings of the workers that tests start: with the threads that a test's own process has not."""

from config.settings.test import *  # noqa: F403

WATCH_LIVE_SETTINGS = True
