"""What an installation needs before it serves, each step done only where it is missing."""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from optimizer.control import keys, registry
from optimizer.control.models import ApiKey

FIRST_KEY_NAME = "first"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was made just now and is shown once; empty where it was there or was given."""

    username: str = ""
    password: str = ""
    api_key: str = ""


def seed() -> None:
    """Let every component write its first rows."""
    for component in registry.components():
        if component.seed is not None:
            component.seed()


def make_first_admin() -> tuple[str, str]:
    """Create a superuser where there is none; return its name and, if it was made up, password.

    Raises ValidationError when ADMIN_PASSWORD is too weak.
    """
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return "", ""
    username, password = settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD
    if password:
        try:
            validate_password(password, users(username=username))
        except ValidationError as error:
            raise ValidationError({"ADMIN_PASSWORD": error.messages}) from error
    given = password
    password = password or secrets.token_urlsafe(12)
    users.objects.create_superuser(username, password=password)
    return username, "" if given else password


def make_first_key() -> str:
    """Issue an API key where there is none; return its token if it was made up.

    Raises ValidationError when TUNEUP_API_KEY is not of the form.
    """
    if ApiKey.objects.exists():
        return ""
    given = settings.FIRST_API_KEY
    try:
        _, token = keys.issue(name=FIRST_KEY_NAME, token=given or None)
    except ValidationError as error:
        raise ValidationError({"TUNEUP_API_KEY": error.messages}) from error
    return "" if given else token


def make_first_secrets() -> Secrets:
    """Make the first admin and API key where they are missing. Raises ValidationError."""
    username, password = make_first_admin()
    return Secrets(username=username, password=password, api_key=make_first_key())
