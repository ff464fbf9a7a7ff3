"""`manage.py settings export|import`: the live settings as YAML."""

import sys
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from optimizer.control.documents import (
    DocumentError,
    apply_document,
    component_names,
    export_document,
)
from optimizer.control.origin import origin


class Command(BaseCommand):
    help = "Export the live settings as YAML, or import them: validated whole, all or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        export = verbs.add_parser("export", help="write the settings to standard output")
        export.add_argument("component", nargs="*", help="only these components")
        importer = verbs.add_parser("import", help="read settings from a file")
        importer.add_argument("file", help="a YAML file, or - for standard input")
        importer.add_argument("--dry-run", action="store_true", help="show the changes only")
        importer.add_argument(
            "--revert-after", type=int, metavar="SECONDS", help="the change ends by itself then"
        )
        importer.add_argument("--reason", default="", help="kept with the revision")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "export":
            self._export(options["component"])
        else:
            self._import(options["file"], options["dry_run"], options)

    def _export(self, components: list[str]) -> None:
        unknown = set(components) - set(component_names())
        if unknown:
            raise CommandError(
                f"No such component: {', '.join(sorted(unknown))}."
                f" Known: {', '.join(component_names())}."
            )
        document = export_document(components or None)
        self.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), ending="")

    def _import(self, file: str, dry_run: bool, options: dict[str, Any]) -> None:
        try:
            if file == "-":
                document = yaml.safe_load(sys.stdin)
            else:
                with open(file, encoding="utf-8") as stream:
                    document = yaml.safe_load(stream)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        try:
            with origin(channel="command"):
                changes = apply_document(
                    document,
                    dry_run=dry_run,
                    reason=options["reason"],
                    revert_after_seconds=options["revert_after"],
                )
        except DocumentError as error:
            lines = [f"{path}: {' '.join(says)}" for path, says in error.errors.items()]
            raise CommandError("Nothing was imported.\n" + "\n".join(lines)) from error
        except ValidationError as error:
            raise CommandError(f"--revert-after: {' '.join(error.messages)}") from error
        for change in changes:
            self.stdout.write(f"{change.path}: {change.before!r} -> {change.after!r}")
        done = "would change" if dry_run else "changed"
        self.stdout.write(f"{len(changes)} field(s) {done}.")
