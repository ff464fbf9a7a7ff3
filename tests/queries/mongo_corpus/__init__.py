"""Labelled cases of pymongo: loops over documents with their fixed twins, and healthy code."""

import pkgutil
from importlib import import_module

from tests.queries.mongo_case import CASES, MongoCase


def load() -> list[MongoCase]:
    """Return every case."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return CASES
