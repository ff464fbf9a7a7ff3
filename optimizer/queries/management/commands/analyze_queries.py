"""`manage.py analyze_queries`: what the queries of an address, a command or tests do wrong."""

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.queries.engine.formats import Source, Told, as_github, as_json, as_table
from optimizer.queries.live import queries
from optimizer.queries.selectors.findings import open_findings
from optimizer.queries.services import trials
from optimizer.queries.services.trials import Trial, UnknownUser

USAGE = 2


class Command(BaseCommand):
    help = (
        "Run something once and show what its queries do wrong; without --url, --command or "
        "--test show the open findings of the database. It runs against the project's own "
        "database, and what it changes stays: nothing is rolled back. What it prints goes to "
        "standard error. Exit code: 0, 1 where there are findings and --fail is given, 2 where "
        "the usage is wrong or what was run has failed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--url",
            metavar="/PATH",
            help="GET a path, in this process and through all middleware; no other method",
        )
        what.add_argument(
            "--test", metavar="PATH", help="run pytest on a path, in a process of its own"
        )
        what.add_argument(
            "--command",
            dest="command_line",
            nargs=argparse.REMAINDER,
            metavar="NAME",
            help="run a management command; all that follows is its own, so put this last",
        )
        parser.add_argument(
            "--user",
            metavar="NAME",
            help="with --url: as this user, without a password; no session stays behind and no "
            "login is recorded",
        )
        parser.add_argument(
            "--format",
            choices=("table", "json", "github"),
            default="table",
            help="for people, for programs, or as annotations of a GitHub workflow",
        )
        parser.add_argument(
            "--threshold",
            type=int,
            metavar="N",
            help="from how many queries on a repetition counts (2 to 1000; as the admin says)",
        )
        parser.add_argument("--fail", action="store_true", help="exit with 1 if there are findings")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"] and options["url"] is None:
            raise CommandError("--user goes with --url.", returncode=USAGE)
        if options["threshold"] is not None and not 2 <= options["threshold"] <= 1000:
            raise CommandError("--threshold must be from 2 to 1000.", returncode=USAGE)
        source, trial = self._run(options)
        if trial.trace:
            self.stderr.write(trial.trace)
        if trial.note:
            self.stderr.write(trial.note)
        self._show(options["format"], source, trial)
        if trial.error is not None:
            raise CommandError(trial.error, returncode=USAGE)
        if trial.findings and options["fail"]:
            sys.exit(1)

    def _run(self, options: dict[str, Any]) -> tuple[Source, Trial]:
        settings = queries.current()
        threshold = options["threshold"] or settings.n_plus_one_threshold
        if (path := options["url"]) is not None:
            if not path.startswith("/"):
                raise CommandError("--url takes a path that begins with /.", returncode=USAGE)
            try:
                trial = trials.visit(path, options["user"], threshold, settings)
            except UnknownUser as error:
                raise CommandError(f"--user: {error}.", returncode=USAGE) from error
            return Source("url", path), trial
        if (line := options["command_line"]) is not None:
            if not line:
                raise CommandError("--command takes the name of one.", returncode=USAGE)
            trial = trials.run_command(line[0], line[1:], threshold, settings)
            return Source("command", " ".join(line)), trial
        if (path := options["test"]) is not None:
            trial = trials.run_tests(path, threshold, settings, options.get("settings"))
            return Source("test", path), trial
        return Source("database"), Trial([_told(one) for one in open_findings()])

    def _show(self, how: str, source: Source, trial: Trial) -> None:
        if how == "json":
            self.stdout.write(as_json(source, trial.findings, trial.error))
        elif how == "table":
            self.stdout.write(as_table(trial.findings))
        elif trial.findings:
            self.stdout.write(as_github(trial.findings))


def _told(row: Any) -> Told:
    return Told(
        row.kind,
        row.location,
        row.suggestion,
        row.queryset_location,
        row.count,
        row.lost_seconds,
        row.sql,
        row.fingerprint,
        list(row.units),
    )
