"""What is told of pools."""

from optimizer.pools.selectors.overview import Pool, Process, every, find, status

__all__ = ["Pool", "Process", "every", "find", "status"]
