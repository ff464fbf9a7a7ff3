"""`manage.py verify_optimizations`: every component's self-checks against the running system."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.operations import verifying


class Command(BaseCommand):
    help = "Run each component's self-checks; exit 1 where one fails, and say what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", default="", metavar="C1,C2", help="only these components")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = verifying.checks(list(filter(None, options["only"].split(","))))
        except ValueError as error:
            raise CommandError(f"--only: {error}") from error
        passed = 0
        width = max(len(f"{one.name}: {check.name}") for one, check in chosen)
        for number, outcome in enumerate(verifying.run(chosen), 1):
            passed += outcome.passed
            name = f"{outcome.component}: {outcome.check}".ljust(width)
            word = self.style.SUCCESS("ok") if outcome.passed else self.style.ERROR("FAILED")
            self.stdout.write(
                f"[{number:>2}/{len(chosen)}] {name}  {word}  {outcome.took_seconds * 1000:7.1f} ms"
                f"  {outcome.said}"
            )
            if outcome.advice:
                self.stdout.write(f"        {outcome.advice}")
        self.stdout.write(f"{passed} of {len(chosen)} passed.")
        if passed < len(chosen):
            sys.exit(1)
