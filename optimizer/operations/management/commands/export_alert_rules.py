"""`manage.py export_alert_rules [--output FILE]`."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.operations.services.prometheus_rules import rule_file


class Command(BaseCommand):
    help = "Write the alert rules that are on as a Prometheus rule file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="unset: standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        text = rule_file()
        if not options["output"]:
            self.stdout.write(text, ending="")
            return
        path = Path(options["output"])
        try:
            # In one step, as Prometheus may read it at any time.
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path} is written.")
