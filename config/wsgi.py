"""WSGI entry: what granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
_django = get_wsgi_application()

from optimizer.control import watcher  # noqa: E402  (needs the app registry)
from optimizer.operations.fast_path import FastPath  # noqa: E402

application = FastPath(_django)

watcher.start("web")
