"""`manage.py compare_optimizations`: off against on, under one load, in one run."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control.origin import origin
from optimizer.operations import switching
from optimizer.operations.baselines import comparing, files, measuring
from optimizer.operations.baselines.arguments import add_load_arguments, url_of
from optimizer.operations.baselines.load import Unreachable

MOST_ROUNDS = 100
# What "off" is: what a plain Django project does, nothing slower.
OFF = {
    "/health": "a Django view that touches nothing, behind the project's middleware",
    "/ready": "the same as on: readiness is never cached",
    "/metrics": "a Django view; the figures of all processes are gathered for each call",
    "/api/": "the same as on: computed for each call",
    "/api/overview": "a Django view; the database and Redis are asked for each call",
}


class Command(BaseCommand):
    help = "Measure with all optimizations off and on, in turns, and print the table."

    def add_arguments(self, parser: CommandParser) -> None:
        add_load_arguments(parser)
        parser.add_argument(
            "--only", default="", metavar="C1,C2", help="only these components are switched"
        )
        parser.add_argument("--rounds", type=int, default=4, help="turns of off and on (default 4)")
        parser.add_argument("--format", choices=tuple(comparing.FORMATS), default="table")
        parser.add_argument("--measure", choices=comparing.MEASURES, default="p50_ms")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["rounds"] <= MOST_ROUNDS:
            raise CommandError(f"--rounds: must be from 1 to {MOST_ROUNDS}.")
        try:
            chosen = switching.switches(filter(None, options["only"].split(",")))
        except ValueError as error:
            raise CommandError(f"--only: {error}") from error
        try:
            with origin(channel="command"), measuring.own_key(options["key"]) as key:
                off, on = measuring.compare(
                    url_of(options),
                    chosen,
                    key=key,
                    requests=options["requests"],
                    concurrency=options["concurrency"],
                    rounds=options["rounds"],
                    say=self.stderr.write,
                )
        except (Unreachable, switching.NotObeyed) as error:
            raise CommandError(str(error)) from error
        written = [files.write(one) for one in (off, on)]
        lines = comparing.compare(off, on, measure=options["measure"])
        self.stdout.write(comparing.FORMATS[options["format"]](lines))
        if options["format"] != "json":
            self.stdout.write("\nWhat each endpoint does with the optimizations off:")
            for path, words in OFF.items():
                self.stdout.write(f"  {path}: {words}.")
        for file in written:
            self.stderr.write(str(file))
