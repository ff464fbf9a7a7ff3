"""What the pages, the API and the commands tell of groups."""

from optimizer.balancer.selectors.states import groups, status

__all__ = ["groups", "status"]
