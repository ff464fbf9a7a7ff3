"""`manage.py revoke_api_key NAME`: stop a key at once, everywhere."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control import keys
from optimizer.control.models import ApiKey
from optimizer.control.origin import origin


class Command(BaseCommand):
    help = "Switch an API key off; every process refuses it within a second."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with origin(channel="command"):
                keys.revoke(options["name"])
        except ApiKey.DoesNotExist as error:
            raise CommandError(f"There is no API key {options['name']!r}.") from error
        self.stdout.write("revoked")
