"""Decide, report, and write the limiter's rows."""

from ratelimit.services.decisions import MAX_CHARGES, Charge
from ratelimit.services.limiter import Limiter, limiter
from ratelimit.services.seeds import EXAMPLE_SUBJECT, seed

__all__ = ["EXAMPLE_SUBJECT", "MAX_CHARGES", "Charge", "Limiter", "limiter", "seed"]
