"""`manage.py cache stats|invalidate|warm`."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from caching import selectors
from caching.engine.remote import Away
from caching.services import targets, warmers
from caching.services.entries import BadArgument, UnknownNamespace


class Command(BaseCommand):
    help = "Show what the cache has counted, invalidate parts of it, or fill it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        stats = verbs.add_parser("stats", help="what was counted")
        stats.add_argument("--json", action="store_true", help="for programs")
        invalidate = verbs.add_parser(
            "invalidate", help="a tag; or of a namespace keys, what fits a pattern, or all"
        )
        invalidate.add_argument("--namespace", metavar="N", help="by its short name")
        invalidate.add_argument(
            "--key", metavar="K", action="append", help="a key behind the prefix; may be repeated"
        )
        invalidate.add_argument("--pattern", metavar="P", help="a glob (* and ?) of such keys")
        invalidate.add_argument("--tag", metavar="T", help="what values were stored with")
        invalidate.add_argument("--dry-run", action="store_true", help="only count")
        warm = verbs.add_parser("warm", help="run functions that fill the cache")
        warm.add_argument("name", nargs="*", help="which")
        warm.add_argument("--all", action="store_true", help="all there are")
        warm.add_argument("--list", action="store_true", help="list the names")

    def handle(self, *args: Any, **options: Any) -> None:
        {"stats": self._stats, "invalidate": self._invalidate, "warm": self._warm}[options["verb"]](
            options
        )

    def _stats(self, options: dict[str, Any]) -> None:
        found = selectors.stats()
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self._tell(found)

    def _tell(self, facts: dict[str, Any], indent: str = "") -> None:
        for name, value in facts.items():
            if isinstance(value, dict):
                self.stdout.write(f"{indent}{name}:")
                self._tell(value, f"{indent}  ")
            else:
                self.stdout.write(f"{indent}{name}: {value}")

    def _invalidate(self, options: dict[str, Any]) -> None:
        given = (options["namespace"], options["key"], options["pattern"], options["tag"])
        try:
            target = targets.Target(*given)
            if options["dry_run"]:
                done, count, waiting = "would go", targets.count(target), False
            else:
                invalidated = targets.invalidate(target)
                done, count, waiting = "invalidated", invalidated.count, invalidated.waiting
        except BadArgument as error:
            option = "key" if error.field == "keys" else error.field
            raise CommandError(f"--{option}: {error}") from error
        except UnknownNamespace as error:
            raise CommandError(f"--namespace: {error}") from error
        except Away as error:
            raise CommandError(f"Redis is away: nothing could be counted. {error}") from error
        if waiting:  # what is queued in this process ends with it
            raise CommandError("Redis is away: nothing was invalidated. Try again when it is back.")
        self.stdout.write(f"{'all of it' if count is None else f'{count} value(s)'} {done}.")

    def _warm(self, options: dict[str, Any]) -> None:
        known = warmers.names()
        if options["list"]:
            self.stdout.write("\n".join(known))
            return
        names = known if options["all"] else options["name"]
        if not names and not options["all"]:
            raise CommandError("Name some warmers, or give --all or --list.")
        for name in names:
            if name not in known:
                raise CommandError(str(warmers.UnknownWarmer(name)))
        failed = sum(not self._warmed(warmers.warm(name)) for name in names)
        if failed:
            raise CommandError(f"{failed} of {len(names)} warmer(s) failed.")

    def _warmed(self, warmed: warmers.Warmed) -> bool:
        says = f"failed: {warmed.error}" if warmed.error else "done"
        self.stdout.write(f"{warmed.name}: {says} ({warmed.took_seconds:.3f} s)")
        return not warmed.error
