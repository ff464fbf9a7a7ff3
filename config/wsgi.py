"""WSGI entry: what granian serves."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
django.setup(set_prefix=False)

from optimizer.control import watcher  # noqa: E402  (needs the app registry)
from optimizer.operations import traces  # noqa: E402
from optimizer.operations.fast_path import FastPath  # noqa: E402

traces.start("web")  # before Django's handler reads its middleware
application = traces.of_calls(FastPath(WSGIHandler()))

watcher.start("web")
