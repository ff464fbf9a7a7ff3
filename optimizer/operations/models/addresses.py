"""E-mail addresses in one text field, separated by commas."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_email


def addresses_in(text: str) -> list[str]:
    """Return the addresses one by one."""
    return [one for one in re.split(r"[,\s]+", text) if one]


def invalid_address(text: str) -> str:
    """Return the first that is none, "" where all are addresses."""
    for one in addresses_in(text):
        try:
            validate_email(one)
        except ValidationError:
            return one
    return ""
