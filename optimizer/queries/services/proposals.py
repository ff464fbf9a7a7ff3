"""Advice on indexes of MongoDB, for who keeps the list of those that are wanted."""

from collections.abc import Sequence

from optimizer.control.registry import IndexProposal
from optimizer.queries.models import IndexAdvice
from optimizer.queries.models.findings import State
from optimizer.queries.services import states
from optimizer.queries.services.commands import ALIAS


class Proposals:
    """The open advice, by its primary key."""

    def open(self) -> Sequence[IndexProposal]:
        """Return the open advice, that of the dearest query first."""
        rows = IndexAdvice.objects.filter(alias=ALIAS, state=State.OPEN)
        return [_proposal(row) for row in rows.order_by("-seconds_per_day", "pk")]

    def accept(self, id: str) -> IndexProposal | None:
        """Declare advice as followed; should the index be missed again, it opens by itself."""
        if not (id.isdecimal() and len(id) < 19):
            return None
        row = IndexAdvice.objects.filter(alias=ALIAS, pk=int(id)).first()
        # Of several at once one changes the state.
        if row is None or not states.set_state(
            IndexAdvice.objects.filter(pk=row.pk, state=State.OPEN), State.FIXED
        ):
            return None
        return _proposal(row)


def _proposal(row: IndexAdvice) -> IndexProposal:
    database, _, collection = row.table.partition(".")
    keys = tuple((one.removeprefix("-"), -1 if one.startswith("-") else 1) for one in row.columns)
    return IndexProposal(str(row.pk), database, collection, keys, row.reason)


proposals = Proposals()
