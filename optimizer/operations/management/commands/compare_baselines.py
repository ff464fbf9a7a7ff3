"""`manage.py compare_baselines A B`: the table of two, and exit code 1 where B is worse."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.operations.baselines import comparing, files


class Command(BaseCommand):
    help = "Compare two baselines; exit 1 where an endpoint has become slower than allowed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("before", help="a name, a file, or `latest`")
        parser.add_argument("after", help="a name, a file, or `latest`")
        parser.add_argument("--format", choices=tuple(comparing.FORMATS), default="table")
        parser.add_argument("--measure", choices=comparing.MEASURES, default="p50_ms")
        parser.add_argument(
            "--regression-percent",
            type=float,
            default=comparing.REGRESSION_PERCENT,
            metavar="P",
            help="how much slower an endpoint may be (default: 10)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["regression_percent"] >= 0:
            raise CommandError("--regression-percent: must be 0 or more.")
        try:
            before, after = files.read(options["before"]), files.read(options["after"])
        except files.NoBaseline as error:
            raise CommandError(str(error)) from error
        lines = comparing.compare(
            before,
            after,
            measure=options["measure"],
            regression_percent=options["regression_percent"],
        )
        self.stdout.write(comparing.FORMATS[options["format"]](lines))
        if any(one.worse for one in lines):
            sys.exit(1)
