"""Who sent a request, by its API key; found once a request, whoever asks."""

from django.http import HttpRequest

from optimizer.control import keys

_SCHEME = "bearer "


def identity_of(request: HttpRequest) -> keys.Identity | None:
    """Return who the request's key belongs to, None without a valid one."""
    try:
        found: keys.Identity | None = request._tuneup_identity  # type: ignore[attr-defined]
    except AttributeError:
        header = request.headers.get("Authorization", "")
        is_bearer = header[: len(_SCHEME)].lower() == _SCHEME
        found = keys.authenticate(header[len(_SCHEME) :]) if is_bearer else None
        request._tuneup_identity = found  # type: ignore[attr-defined]
    return found
