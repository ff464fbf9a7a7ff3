"""`manage.py test`: the whole suite on SQLite, and again on PostgreSQL where it is found."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from optimizer.operations import test_runs

_DATABASES = ("sqlite", "postgresql")
_ONLY, _REQUIRE = "--database=", "--require-all"


class Command(BaseCommand):
    help = (
        "Run the tests. "
        "--database=sqlite or --database=postgresql runs one of the two; "
        "--require-all (as CI=true) fails where a service is missing; "
        "all other arguments go to pytest."
    )
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Take the two arguments of our own and leave the rest, unread, to pytest."""
        arguments = argv[2:]
        if arguments[:1] in (["--help"], ["-h"]):
            super().run_from_argv(argv)
            return
        only = [one.removeprefix(_ONLY) for one in arguments if one.startswith(_ONLY)]
        if unknown := set(only) - set(_DATABASES):
            sys.exit(f"--database: {', '.join(unknown)} is neither sqlite nor postgresql")
        self.execute(
            pytest_arguments=[
                one for one in arguments if not one.startswith(_ONLY) and one != _REQUIRE
            ],
            databases=only or _DATABASES,
            required=settings.CI or _REQUIRE in arguments,
            force_color=False,
            no_color=False,
        )

    def handle(self, *args: Any, **options: Any) -> None:
        runs = test_runs.run_all(
            options["pytest_arguments"],
            required=options["required"],
            databases=options["databases"],
        )
        for run in runs:
            if run.missing:
                self.stdout.write(f"\n{'!' * 8} {run.verdict} {'!' * 8}")
        self.stdout.write(f"\n{'; '.join(run.verdict for run in runs)}")
        if test_runs.failed(runs, required=options["required"]):
            sys.exit(1)
