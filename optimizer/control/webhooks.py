"""Webhooks: a JSON message to an address, signed so that its receiver knows who sent it.

The signature is that of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
"id.timestamp.body", the key being the secret without its prefix, read as base64.
"""

import base64
import hashlib
import hmac
import json
import time
from binascii import Error as NoBase64
from collections.abc import Mapping

import httpx
from django.conf import settings

_TIMEOUT_SECONDS = 5.0
_PREFIX = "whsec_"


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """Return the value of the header `webhook-signature`."""
    key = secret.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(key, validate=True)
    except NoBase64:
        raw = key.encode()
    digest = hmac.new(raw, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def post(url: str, message_id: str, message: Mapping[str, object]) -> str:
    """Send a message; return what the receiver answered wrong, "" where it took it.

    It is signed where WEBHOOK_SECRET is set. Sent again, it has the same `message_id`. Raises
    httpx.HTTPError where nobody answers.
    """
    body, timestamp = json.dumps(message), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if settings.WEBHOOK_SECRET:
        headers["webhook-signature"] = sign(settings.WEBHOOK_SECRET, message_id, timestamp, body)
    answer = httpx.post(url, content=body, headers=headers, timeout=_TIMEOUT_SECONDS)
    return "" if answer.is_success else f"{answer.status_code} {answer.reason_phrase}"
