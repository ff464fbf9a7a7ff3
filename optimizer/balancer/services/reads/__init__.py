"""Database reads over replicas: `from optimizer.balancer import reads`."""

from optimizer.balancer.services.reads.readers import primary, reader, wrote

__all__ = ["primary", "reader", "wrote"]
