"""Labelled cases: ordinary user code with an N+1 and its fixed twin, and code that is in order."""

import pkgutil
from importlib import import_module

from tests.queries.case import CASES, Case


def load() -> list[Case]:
    """Return every case."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return CASES
