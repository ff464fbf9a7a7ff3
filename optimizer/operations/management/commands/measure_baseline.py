"""`manage.py measure_baseline`: how fast the running server answers, kept as a file."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control.origin import origin
from optimizer.operations import switching
from optimizer.operations.baselines import files, measuring
from optimizer.operations.baselines.arguments import add_load_arguments, url_of
from optimizer.operations.baselines.load import Unreachable


class Command(BaseCommand):
    help = "Drive the running server over HTTP and keep its times as .metrics/baselines/*.json."

    def add_arguments(self, parser: CommandParser) -> None:
        add_load_arguments(parser)
        parser.add_argument("--label", default="", help="a word to know it by")
        parser.add_argument(
            "--optimizations",
            choices=("on", "off"),
            help="switch all optimizations so for the measurement, and back after it",
        )
        parser.add_argument(
            "--with-test-suite", action="store_true", help="time `manage.py test` too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = switching.switches()
        wanted = options["optimizations"]
        try:
            with (
                origin(channel="command"),
                switching.kept(chosen, reason="Measured: put back as it was"),
                measuring.own_key(options["key"]) as key,
            ):
                if wanted:
                    switching.turn(chosen, on=wanted == "on", reason=f"Measured {wanted}")
                    switching.wait(measuring.OBEY_SECONDS)
                found = measuring.measure(
                    url_of(options),
                    key=key,
                    label=options["label"] or (f"optimizations {wanted}" if wanted else ""),
                    requests=options["requests"],
                    concurrency=options["concurrency"],
                    say=self.stderr.write,
                )
        except (Unreachable, switching.NotObeyed) as error:
            raise CommandError(str(error)) from error
        if options["with_test_suite"]:
            seconds, passed = measuring.run_test_suite()
            found = msgspec.structs.replace(
                found, test_suite_seconds=round(seconds, 1), test_suite_passed=passed
            )
        for path, one in found.endpoints.items():
            self.stdout.write(
                f"{path:<15} p50 {one.p50_ms:8.2f} ms  p95 {one.p95_ms:8.2f} ms"
                f"  p99 {one.p99_ms:8.2f} ms  {one.requests_per_second:9.1f} /s"
                f"  errors {one.errors}"
            )
        self.stdout.write(str(files.write(found)))
