"""Programs that a test needs and that no Python package brings."""

import shutil

import pytest
from django.conf import settings


def program(*names: str) -> str:
    """Return the path of the first program found; without one skip, or in CI fail."""
    for name in names:
        if found := shutil.which(name):
            return found
    says = f"{names[0]} is not installed: apt-get install what brings it"
    if settings.CI:
        pytest.fail(says)
    pytest.skip(says)
