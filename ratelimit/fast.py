"""The check's bare path: answers what is plain before Django's handler, and nothing else.

Whatever is not a well-formed check is left to Django (None), whose errors therefore are the only
ones there are.
"""

from typing import Any

import msgspec

from ratelimit.answers import Answer, answer, refusal
from ratelimit.engine import BadArgument, Decision
from ratelimit.headers import fields
from ratelimit.services import MAX_CHARGES, limiter

Answered = tuple[int, list[tuple[str, str]], bytes]
_JSON, _PROBLEM = "application/json; charset=utf-8", "application/problem+json"


class CheckIn(msgspec.Struct, forbid_unknown_fields=True):
    """A check, as the API describes it."""

    subject: str
    cost: int = 1
    scope: str = ""


class ManyIn(msgspec.Struct, forbid_unknown_fields=True):
    """Many checks; those that belong together are left to Django."""

    charges: list[CheckIn]
    together: bool = False


_one = msgspec.json.Decoder(CheckIn).decode
_many = msgspec.json.Decoder(ManyIn).decode
_encode = msgspec.json.Encoder().encode


def check(body: bytes) -> Answered | None:
    """Answer POST check; None where Django has to."""
    try:
        asked = _one(body)
        decided = limiter.check(asked.subject, asked.cost, asked.scope)
    except (msgspec.DecodeError, BadArgument):
        return None
    headers = [("Content-Type", _JSON if decided.allowed else _PROBLEM)]
    headers += fields((decided,)).items()
    if decided.allowed:
        return 200, headers, _encode(answer(decided))
    status, document = _denied(decided)
    return status, headers, document


def check_many(body: bytes) -> Answered | None:
    """Answer POST check-many; None where Django has to."""
    try:
        asked = _many(body)
        if asked.together or not 1 <= len(asked.charges) <= MAX_CHARGES:
            return None
        decided = limiter.check_many([(one.subject, one.cost, one.scope) for one in asked.charges])
    except (msgspec.DecodeError, BadArgument):
        return None
    document: dict[str, list[Answer]] = {"decisions": [answer(one) for one in decided]}
    return 200, [("Content-Type", _JSON)], _encode(document)


def _denied(decided: Decision) -> tuple[int, bytes]:
    status, title, kind, names = refusal((decided,))
    problem: dict[str, Any] = {
        "type": kind,
        "title": title,
        "status": status,
        "violated-policies": names,
    }
    return status, _encode(problem | msgspec.structs.asdict(answer(decided)))


ROUTES = {"check": check, "check-many": check_many}
