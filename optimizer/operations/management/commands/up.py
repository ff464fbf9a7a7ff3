"""`manage.py up`: Redis, web, worker and beat as one, from nothing."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from optimizer.operations import up
from optimizer.operations.supervisor import Printer, Stop


class Command(BaseCommand):
    help = "Start everything: Redis where none is given, web, a Celery worker and beat."
    requires_system_checks = ()  # `prepare` makes them, once Redis is there

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.WEB_HOST, help="Address to listen on.")
        parser.add_argument("--port", type=int, default=settings.WEB_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            up.run(host=options["host"], port=options["port"])
        except Stop as stop:
            stream = sys.stderr if stop.code else sys.stdout
            Printer(stream, as_json=settings.LOG_FORMAT == "json").show(f"{stop}\n")
            sys.exit(stop.code)
