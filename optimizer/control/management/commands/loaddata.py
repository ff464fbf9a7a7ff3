"""Django's loaddata, with one revision for each component that a fixture touches."""

from collections.abc import Sequence
from contextlib import ExitStack

from django.core.management.commands import loaddata

from optimizer.control.live import all_live
from optimizer.control.origin import origin
from optimizer.control.revisions import change


class Command(loaddata.Command):
    def loaddata(self, fixture_labels: Sequence[str]) -> None:
        with ExitStack() as stack:
            stack.enter_context(origin(channel="command"))
            for live in all_live():
                reason = f"loaddata {' '.join(map(str, fixture_labels))}"
                stack.enter_context(change(live.component, reason=reason, using=self.using))
            super().loaddata(fixture_labels)
