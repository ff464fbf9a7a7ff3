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

from django.conf import settings

from optimizer.control import outgoing
from optimizer.control.outgoing import Answer

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


def post(url: str, message_id: str, message: Mapping[str, object]) -> Answer:
    """Send a message and return the receiver's answer; sent again, it has the same `message_id`.

    It is signed where WEBHOOK_SECRET is set. Raises what `outgoing.post` raises.
    """
    body, timestamp = json.dumps(message), int(time.time())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if settings.WEBHOOK_SECRET:
        headers["webhook-signature"] = sign(settings.WEBHOOK_SECRET, message_id, timestamp, body)
    return outgoing.post(url, body.encode(), headers, timeout_seconds=_TIMEOUT_SECONDS)
