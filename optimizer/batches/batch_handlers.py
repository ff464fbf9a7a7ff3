"""The handler of the example job."""

import logging
from typing import Any

from optimizer.batches.services.functions import batch_handler

logger = logging.getLogger(__name__)


@batch_handler("example")
def example(items: list[Any]) -> None:
    """Log how many items came; refuse those that say `"poison": true`, to show a dead letter."""
    for item in items:
        if isinstance(item, dict) and item.get("poison") is True:
            raise ValueError("this item asks to be refused")
    logger.info("The example job got %s items", len(items))
