"""`manage.py create_db_indexes [--check] [--dry-run] [--drop-extra]`."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.operations.engine.index_drift import BuildProgress
from optimizer.operations.services import document_indexes
from optimizer.operations.services.document_indexes import Found, MongoAway, NoMongo, says_of

AWAY_CODE = 2


class Command(BaseCommand):
    help = (
        "Make MongoDB's indexes agree with the document indexes of the admin. Exit code 1 where "
        "something is or stays wrong, 2 where MongoDB does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="say what is wrong, for CI")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument(
            "--drop-extra",
            action="store_true",
            help="drop indexes of the same collections that no row wants",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"] and options["dry_run"]:
            raise CommandError("Give --check or --dry-run, not both.")
        try:
            self._work(**options)
        except NoMongo as error:
            self.stdout.write(f"{error} Nothing is to do.")
        except MongoAway as error:
            raise CommandError(f"MongoDB is away: {error}", returncode=AWAY_CODE) from error

    def _work(self, *, check: bool, dry_run: bool, drop_extra: bool, **_: Any) -> None:
        found = document_indexes.survey()
        if not found:
            self.stdout.write("No document index is wanted: Admin → Operations → Document indexes.")
            return
        self._table(found)
        todo = document_indexes.to_do(found, drop_extra=drop_extra)
        if check:
            if todo:
                raise CommandError(f"{_count(todo)} not as wanted: run create_db_indexes.")
            self.stdout.write("All are as wanted.")
            return
        if dry_run:
            says = f"{_count(todo)} to be made, changed or dropped." if todo else "Nothing to do."
            self.stdout.write(says)
            return
        self._make(todo)

    def _make(self, todo: list[Found]) -> None:
        failed = 0
        for number, one in enumerate(todo, 1):
            outcome = document_indexes.make(one, self._watch)
            failed += bool(outcome.error)
            says = f"{number}/{len(todo)} {one.namespace} {one.drift.name}: {outcome.did}"
            self.stdout.write(f"{says}. {outcome.error}".rstrip(". ") + ".")
        if failed:
            raise CommandError(f"{failed} of {_count(todo)} could not be made as wanted.")
        self.stdout.write("All are as wanted.")

    def _table(self, found: list[Found]) -> None:
        rows = [(one.drift.kind, one.namespace, one.drift.name, says_of(one)) for one in found]
        widths = [max(len(row[at]) for row in rows) for at in range(3)]
        for kind, namespace, name, says in rows:
            parts = (kind.ljust(widths[0]), namespace.ljust(widths[1]), name.ljust(widths[2]), says)
            self.stdout.write("  ".join(parts).rstrip())

    def _watch(self, one: Found, progress: BuildProgress) -> None:
        told = f"{progress.done}/{progress.total}" if progress.total else "the server is at it"
        if sys.stdout.isatty():
            self.stdout.write(f"\r  {one.namespace} {one.drift.name}: {told}   ", ending="")
            self.stdout.flush()
        else:
            self.stdout.write(f"  {one.namespace} {one.drift.name}: {told}")


def _count(found: list[Found]) -> str:
    return f"{len(found)} index{'' if len(found) == 1 else 'es'}"
