"""`manage.py issue_api_key NAME`: make a key and print its token, this once."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control import keys, registry
from optimizer.control.origin import origin


class Command(BaseCommand):
    help = "Make an API key and print its token, which cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who uses it")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[keys.ALL_SCOPES, *(one.name for one in registry.components())],
            help="a component it may call; may be given several times (default: everything)",
        )
        parser.add_argument("--token", help="use this token instead of a random one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with origin(channel="command"):
                _, token = keys.issue(
                    name=options["name"],
                    scopes=options["scope"] or [keys.ALL_SCOPES],
                    token=options["token"],
                )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(token)
