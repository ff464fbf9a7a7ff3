"""`manage.py batches status|run|watch|submit|dead-letters|calibrate`."""

import getpass
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from optimizer.batches import selectors
from optimizer.batches.engine.settings import Job
from optimizer.batches.management.bars import Screen, bar, bar_of, line
from optimizer.batches.management.entries import BadLine, read
from optimizer.batches.models import Run
from optimizer.batches.selectors import dead_letters as letters
from optimizer.batches.selectors.runs import run_of
from optimizer.batches.services import calibration, dead_letters, operating
from optimizer.batches.services.errors import BadItem, JobFull, TooMany, UnknownJob
from optimizer.batches.services.runs import Overlap
from optimizer.batches.services.submitting import find, submit_many
from optimizer.control.origin import origin

_LOOK_SECONDS = 1.0
_PORTION = 1000
_HELD = ("stopped", "paused", "waiting")


class Command(BaseCommand):
    help = "Show, run and feed batch jobs. Exit code 1 where a run or some of its items failed."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        status = verbs.add_parser("status", help="how far jobs are")
        status.add_argument("job", nargs="?", help="only this one")
        status.add_argument("--json", action="store_true", help="for programs")
        run = verbs.add_parser("run", help="write all that waits, and what the source gives")
        run.add_argument("job")
        run.add_argument("--no-wait", action="store_true", help="let a Celery worker do it")
        watch = verbs.add_parser("watch", help="show progress each second, until Ctrl-C")
        watch.add_argument("job", nargs="?", help="only this one")
        watch.add_argument("--until-idle", action="store_true", help="or until nothing is left")
        submit = verbs.add_parser("submit", help="put items in, one JSON value a line")
        submit.add_argument("job")
        submit.add_argument("file", nargs="?", default="-", help="- is standard input")
        submit.add_argument("--key", metavar="FIELD", default="", help="the idempotency key")
        submit.add_argument("--order", metavar="FIELD", default="", help="the ordering key")
        dead = verbs.add_parser("dead-letters", help="items that could not be applied")
        dead.add_argument("job")
        what = dead.add_mutually_exclusive_group()
        what.add_argument("--replay", action="store_true", help="put them back into the inbox")
        what.add_argument("--discard", action="store_true", help="delete them for good")
        dead.add_argument("--id", type=int, action="append", help="only this; may be repeated")
        dead.add_argument("--limit", type=int, default=20, help="how many to show (1 to 100)")
        dead.add_argument("--json", action="store_true", help="for programs")
        calibrate = verbs.add_parser(
            "calibrate", help="measure with the next chunk how much faster bulk is"
        )
        calibrate.add_argument("job")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = getattr(self, f"_{options['verb'].replace('-', '_')}")
        try:
            with origin(channel="command", actor=_user()):
                verb(options)
        except UnknownJob as error:
            known = ", ".join(one.job for one in selectors.progress_of_all()) or "none"
            raise CommandError(f"{error}. Known: {known}.") from error

    def _status(self, options: dict[str, Any]) -> None:
        found = _progress(options["job"])
        if options["json"]:
            self.stdout.write(json.dumps([asdict(one) for one in found], default=str))
            return
        for one in found:
            self.stdout.write(line(one))

    def _run(self, options: dict[str, Any]) -> None:
        name = options["job"]
        try:
            if options["no_wait"]:
                run = operating.hand_over(name, trigger="command", actor=_user())
                self.stdout.write(f"Run {run.pk} of {name} is handed to a worker.")
                return
            run, held = self._run_here(find(name))
        except Overlap as error:
            raise CommandError(f"{error}.") from error
        says = f"Run {run.pk} of {name}: {run.done} done, {run.failed} failed"
        if run.state == Run.State.RUNNING:
            raise CommandError(
                f"{says}. It waits, as the job is {held.state} ({held.because}). A worker ends"
                " it when the job goes on."
            )
        if run.state != Run.State.DONE or run.failed:
            raise CommandError(f"{says}. {run.message}".strip())
        self.stdout.write(f"{says}.")

    def _run_here(self, job: Job) -> tuple[Run, selectors.Progress]:
        """Do a run; return it and how the job was when last looked at."""
        shown, seen = _Shown(self._screen(), job), selectors.progress(job)

        def may_go_on() -> bool:
            nonlocal seen
            seen = selectors.progress(job)
            return seen.state not in _HELD

        try:
            run = operating.run_here(
                job.name,
                trigger="command",
                actor=_user(),
                begun=shown.start,
                may_go_on=may_go_on,
            )
            return run, seen
        except KeyboardInterrupt:
            raise CommandError("Interrupted; a worker carries the run on.") from None
        finally:
            shown.stop()

    def _watch(self, options: dict[str, Any]) -> None:
        screen = self._screen()
        show: Callable[[Any], str] = bar_of if screen.is_terminal else line
        try:
            while True:
                found = _progress(options["job"])
                screen.show([show(one) for one in found])
                if options["until_idle"] and all(one.state != "working" for one in found):
                    held = [one.job for one in found if one.left and one.state in _HELD]
                    if held:
                        raise CommandError(f"These do not go on by themselves: {', '.join(held)}.")
                    return
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            return

    def _submit(self, options: dict[str, Any]) -> None:
        name, accepted, known = options["job"], 0, 0
        size = min(_PORTION, find(name).high_water_items)  # of more none is taken
        try:
            with _opened(options["file"]) as file:
                entries = read(file, options["key"], options["order"])
                while portion := list(islice(entries, size)):
                    try:
                        done = submit_many(name, [entry for _, entry in portion])
                    except BadItem as error:
                        number = portion[error.index][0]
                        raise BadLine(number, f"{error.field} {error.message}") from error
                    accepted += done.accepted
                    known += len(done.known)
        except (BadLine, JobFull, TooMany, OSError) as error:
            raise CommandError(f"{error}. {accepted} item(s) were accepted before.") from error
        self.stdout.write(f"{accepted} item(s) accepted, {known} known before.")

    def _dead_letters(self, options: dict[str, Any]) -> None:
        job_id = find(options["job"]).id
        if options["replay"] or options["discard"]:
            pks = letters.of_job(job_id, options["id"]).values_list("pk", flat=True)
            done = (dead_letters.replay if options["replay"] else dead_letters.discard)(pks)
            self.stdout.write(f"{done} item(s) {'replayed' if options['replay'] else 'discarded'}.")
            return
        if not 1 <= options["limit"] <= letters.MOST:
            raise CommandError(f"--limit must be from 1 to {letters.MOST}.")
        page = letters.listed(job_id, options["limit"], among=options["id"])
        if options["json"]:
            self.stdout.write(json.dumps(asdict(page), default=str))
            return
        for one in page.dead_letters:
            when = f"{one.failed_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(f"{one.id}  {when}  {one.error_type}: {one.error}")
            self.stdout.write(f"    {json.dumps(one.item, ensure_ascii=False)[:200]}")
        self.stdout.write(f"{len(page.dead_letters)} of {page.total} dead letter(s).")

    def _calibrate(self, options: dict[str, Any]) -> None:
        calibration.ask_for(find(options["job"]).id)
        self.stdout.write(
            f"The next chunk of {options['job']} with {calibration.LEAST_ITEMS} items or more is"
            " measured."
        )

    def _screen(self) -> Screen:
        return Screen(self.stdout, shutil.get_terminal_size().columns)


class _Shown(threading.Thread):
    """A run's bar on a terminal, drawn anew each second by a thread and connection of its own."""

    def __init__(self, screen: Screen, job: Job) -> None:
        super().__init__(name="tuneup-batches-bar", daemon=True)
        self._screen, self._job = screen, job
        self._run_id = 0
        self._stopped = threading.Event()

    def start(self, run: Run | None = None) -> None:
        if self._screen.is_terminal and run is not None:
            self._run_id = run.pk
            super().start()

    def run(self) -> None:
        try:
            while not self._stopped.wait(_LOOK_SECONDS):
                self._show()
        finally:
            connection.close()

    def _show(self) -> None:
        run = run_of(self._job.id, self._run_id)
        if run is not None:
            settled = run.done + run.failed
            says = f"{run.done} done, {run.failed} failed of {run.total or '…'}"
            fraction = settled / run.total if run.total else 0.0
            self._screen.show([bar(self._job.name, fraction, says)])

    def stop(self) -> None:
        if self.ident is not None:
            self._stopped.set()
            self.join()


def _progress(name: str | None) -> list[selectors.Progress]:
    return [selectors.progress(find(name))] if name else selectors.progress_of_all()


def _opened(name: str) -> Any:
    return open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
