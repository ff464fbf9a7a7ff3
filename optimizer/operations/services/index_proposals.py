"""Take over what a component proposes as a document index."""

import re
from dataclasses import dataclass

from django.db import connections, transaction

from optimizer.control import registry
from optimizer.control.registry import IndexProposal
from optimizer.control.revisions import change
from optimizer.operations.models import DocumentIndex
from optimizer.operations.models.document_indexes import key_text
from optimizer.operations.services.document_indexes import ALIAS, is_configured

_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal, and whose it is."""

    component: registry.Component
    proposal: IndexProposal

    @property
    def keys_text(self) -> str:
        return key_text(self.proposal.keys)


class Settled(Exception):
    """There is no such proposal any more."""


def proposed() -> list[Proposed]:
    """Return what every component proposes."""
    return [
        Proposed(component, one)
        for component in registry.components()
        if component.index_proposals is not None
        for one in component.index_proposals.open()
    ]


def accept(component: str, id: str) -> DocumentIndex:
    """Make a row of a proposal, or return the row that wants the same. Raises Settled."""
    try:
        proposals = registry.get(component).index_proposals
    except KeyError:
        proposals = None
    if proposals is None:
        raise Settled(f"{component} proposes nothing.")
    with transaction.atomic(), change("operations", reason=f"Proposed by {component}"):
        taken = proposals.accept(id)
        if taken is None:
            raise Settled("It was accepted or settled in the meantime.")
        default = connections.settings[ALIAS]["NAME"] if is_configured() else ""
        database = "" if taken.database == default else taken.database
        keys = key_text(taken.keys)
        known = DocumentIndex.objects.filter(
            database=database, collection=taken.collection, keys=keys, unique=False, sparse=False,
            partial_filter__isnull=True, collation__isnull=True,
        ).first()  # fmt: skip
        if known is not None:
            if not known.enabled:
                known.enabled = True
                known.save()
            return known
        row = DocumentIndex(
            name=_free_name(taken),
            database=database,
            collection=taken.collection,
            keys=keys,
            source=DocumentIndex.Source.ADVICE,
            reason=taken.reason[:500],
        )
        row.full_clean()
        row.save()
        return row


def _free_name(taken: IndexProposal) -> str:
    parts = [f"{field}_{way}" for field, way in taken.keys]
    name = re.sub(r"[\s$*]", "_", "_".join([taken.collection, *parts]))[: _LONGEST_NAME - 4]
    names = set(DocumentIndex.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(
        one for one in (name, *(f"{name}_{at}" for at in range(2, 1000))) if one not in names
    )
