"""What beat does for the load balancer."""

from celery import shared_task

from optimizer.balancer.services import checking
from optimizer.control.redis import RedisAway


@shared_task(name="balancer.check")
def check() -> int:
    """Check the backends whose turn it is; return how many were."""
    try:
        return checking.check_due()
    except RedisAway:
        return 0  # nobody could be told; after a minute the checks say nothing any more
