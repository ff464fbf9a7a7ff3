"""`manage.py prepare`: all that an installation needs before it serves; safe to run again."""

import dataclasses
import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control.origin import origin
from optimizer.operations import first_run


class Command(BaseCommand):
    help = "Migrate, collect static files, seed, and make the first admin and API key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print what was made as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        with origin(channel="command", actor="prepare"):
            first_run.seed()
            try:
                made = first_run.make_first_secrets()
            except ValidationError as error:
                problems = [
                    f"{field}: {' '.join(why)}" for field, why in error.message_dict.items()
                ]
                raise CommandError("; ".join(problems)) from error
        if options["json"]:
            self.stdout.write(json.dumps(dataclasses.asdict(made)))
            return
        for field, value in dataclasses.asdict(made).items():
            if value:
                self.stdout.write(f"{field}: {value}")
