"""`manage.py balancer status|simulate|put-back`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from optimizer.balancer.live import balancer as live
from optimizer.balancer.selectors.shared import overview
from optimizer.balancer.services import sharing, what_if
from optimizer.balancer.services.balancing import UnknownGroup
from optimizer.control.redis import RedisAway
from optimizer.control.units import format_duration


class Command(BaseCommand):
    help = "Look at backend groups, simulate other strategies, put ejected backends back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        status = verbs.add_parser("status", help="the state of each backend, over all processes")
        status.add_argument("group", nargs="?", default="")
        simulate = verbs.add_parser(
            "simulate", help="what each strategy would do to the last hour's calls"
        )
        simulate.add_argument("--group", required=True)
        simulate.add_argument("--times", type=float, default=1.0, help="so many times the traffic")
        simulate.add_argument(
            "--without", action="append", default=[], metavar="BACKEND", help="as if it were gone"
        )
        simulate.add_argument("--calls", type=int, default=what_if.CALLS)
        simulate.add_argument("--seed", type=int, default=1)
        back = verbs.add_parser("put-back", help="end an ejection in all processes")
        back.add_argument("group")
        back.add_argument("backend")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb'].replace('-', '_')}")(options)
        except (UnknownGroup, what_if.NothingRecorded, what_if.BadChoice) as error:
            raise CommandError(str(error)) from error
        except RedisAway as error:
            raise CommandError(f"Redis is away: {error}") from error

    def _status(self, options: dict[str, Any]) -> None:
        groups = live.current().groups
        if options["group"] and options["group"] not in groups:
            raise UnknownGroup(options["group"], list(groups))
        for group in overview():
            if options["group"] not in ("", group.name):
                continue
            self.stdout.write(f"{group.name} ({group.settings.strategy})")
            for one in group.backends:
                p99 = one.p99_seconds
                self.stdout.write(
                    f"  {one.name:<24} {one.state:<10} {one.picks:>9} calls"
                    f" {one.success_text:>8} ok  p99 {format_duration(p99) if p99 else '-':>8}"
                    f"  {one.because}".rstrip()
                )

    def _simulate(self, options: dict[str, Any]) -> None:
        asked = what_if.Asked(
            options["group"],
            options["times"],
            tuple(options["without"]),
            options["calls"],
            options["seed"],
        )
        plan = what_if.plan(asked)
        self.stdout.write(
            f"{plan.calls} calls at {plan.calls_per_second:.1f}/s, drawn from {plan.recorded}"
            f" recorded ones\n{'strategy':<22}{'p50':>10}{'p99':>10}{'errors':>10}"
            f"{'imbalance':>11}{'ejections':>11}"
        )
        for one in plan.outcomes():
            used = " *" if one.strategy == live.current().groups[options["group"]].strategy else ""
            self.stdout.write(
                f"{one.strategy + used:<22}{format_duration(one.p50_seconds):>10}"
                f"{format_duration(one.p99_seconds):>10}{one.error_ratio:>10.2%}"
                f"{one.imbalance:>11.2f}{one.ejections:>11}"
            )

    def _put_back(self, options: dict[str, Any]) -> None:
        group = live.current().groups.get(options["group"])
        if group is None:
            raise UnknownGroup(options["group"], list(live.current().groups))
        if options["backend"] not in {one.name for one in group.backends}:
            raise CommandError(f"group {group.name!r} has no backend {options['backend']!r}")
        sharing.put_back(group.name, options["backend"])
        self.stdout.write("It gets calls again within a second.")
