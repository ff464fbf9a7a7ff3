"""Records of what was invalidated, and by whom."""

import logging

from django.db import DatabaseError

from caching.models import Invalidation
from optimizer.control.origin import current_origin

KEPT = 10_000
logger = logging.getLogger(__name__)


def note(what: str, count: int | None, waited: bool) -> None:
    """Record an invalidation; one that the database cannot take is logged instead."""
    of = current_origin()
    try:
        Invalidation.objects.create(
            what=what[:400],
            count=count,
            waited=waited,
            actor=of.actor[:150],
            channel=of.channel,
            request_id=of.request_id,
        )
    except DatabaseError as error:
        logger.warning("Invalidated %s (%s); it is not recorded: %s", what, count, error)


def forget_old() -> int:
    """Keep the newest 10,000 records; return how many went."""
    oldest = Invalidation.objects.values_list("pk", flat=True)[KEPT : KEPT + 1].first()
    if oldest is None:
        return 0
    return Invalidation.objects.filter(pk__lte=oldest).delete()[0]
