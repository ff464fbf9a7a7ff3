"""API keys: issue, rotate, revoke and check them.

A key reads `tu_<8-character prefix>_<secret>`. The secret has 256 random bits, so a fast digest
is enough; the prefix finds the row without telling anything.
"""

import hashlib
import hmac
import re
import secrets
import string
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError

from optimizer.control.models import ApiKey
from optimizer.control.revisions import change
from optimizer.control.snapshot import control

_TOKEN = re.compile(r"tu_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{20,128})")
_ALPHABET = string.ascii_letters + string.digits
_WRITE_EVERY_SECONDS = 60.0

ALL_SCOPES = "*"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a key belongs to and what it may call."""

    name: str
    prefix: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ALL_SCOPES in self.scopes


def new_token() -> str:
    """Return a fresh token."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return f"tu_{prefix}_{secrets.token_urlsafe(32)}"


def issue(
    *,
    name: str,
    scopes: Iterable[str] = (ALL_SCOPES,),
    expires_at: datetime | None = None,
    created_by: Any = None,
    token: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, which is not kept and cannot be shown again.

    Raises ValidationError when the name is taken or a given token is not of the form.
    """
    token = token or new_token()
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise ValidationError(
            {"token": "Must be tu_<8 letters or digits>_<20 to 128 letters, digits, - or _>."}
        )
    key = ApiKey(
        name=name,
        prefix=match[1],
        digest=digest(token),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=created_by,
    )
    key.full_clean()
    with change("control", reason=f"New API key {name}"):
        key.save()
    return key, token


def revoke(name: str) -> None:
    """Switch a key off everywhere within a second. Raises ApiKey.DoesNotExist."""
    key = ApiKey.objects.get(name=name)
    with change("control", reason=f"Revoked API key {name}"):
        key.active = False
        key.save()


def digest(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def authenticate(token: str) -> Identity | None:
    """Return who the token belongs to, None where it is unknown, revoked or expired.

    Reads the live snapshot alone: no query, no lock.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    key = control.current().keys.get(match[1])
    if key is None or not hmac.compare_digest(key.digest, digest(token)):
        return None
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return None
    _used[key.prefix] = time.time()
    return Identity(key.name, key.prefix, key.scopes)


_used: dict[str, float] = {}  # prefix -> last use; at most one entry a valid key
_written_at = 0.0


def write_last_used() -> None:
    """Write the times of last use to the database, at most once a minute."""
    global _written_at
    now = time.monotonic()
    if not _used or now - _written_at < _WRITE_EVERY_SECONDS:
        return
    _written_at = now
    for prefix in list(_used):
        used_at = datetime.fromtimestamp(_used.pop(prefix), UTC)
        ApiKey.objects.filter(prefix=prefix).update(last_used_at=used_at)
