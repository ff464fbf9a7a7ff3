"""Settings of the test suite: a fast password hasher, and the services the runner gives by environment."""

from config.settings.base import *  # noqa: F403
from config.settings.base import INSTALLED_APPS

SECRET_KEY = "only-for-tests-" + "x" * 50
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WATCH_LIVE_SETTINGS = False
INSTALLED_APPS = [*INSTALLED_APPS, "tests.sample"]
