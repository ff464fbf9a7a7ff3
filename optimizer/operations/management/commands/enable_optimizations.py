"""`manage.py enable_optimizations`: switch the components on or off, live, then verify them."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control.origin import origin
from optimizer.operations import switching

OBEY_SECONDS = 15.0


class Command(BaseCommand):
    help = "Switch components on (or --off) through their live settings, then verify them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", default="", metavar="C1,C2", help="only these components")
        parser.add_argument("--off", action="store_true", help="switch them off instead")
        parser.add_argument("--dry-run", action="store_true", help="say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        on = not options["off"]
        try:
            chosen = switching.switches(filter(None, options["only"].split(",")))
        except ValueError as error:
            raise CommandError(f"--only: {error}") from error
        turned = [one for one in chosen if one.is_on != on]
        if not options["dry_run"]:
            with origin(channel="command"):
                word = "on" if on else "off"
                switching.turn(chosen, on=on, reason=f"enable_optimizations: {word}")
        names = {one.component for one in turned}
        for one in chosen:
            became = "on" if on else "off"
            before = "" if one.component not in names else f" (was {'on' if one.is_on else 'off'})"
            self.stdout.write(f"{one.title}: {became}{before}")
        if options["dry_run"]:
            self.stdout.write(f"{len(turned)} would change.")
            return
        try:
            switching.wait(OBEY_SECONDS)
        except switching.NotObeyed as error:
            raise CommandError(f"Switched, but {error}") from error
        self.stdout.write(f"{len(turned)} changed; every process that is seen obeys.")
        if on:
            call_command("verify_optimizations", only=options["only"])
