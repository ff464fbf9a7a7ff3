"""Which headers pass a forwarded call, and under which names."""

from collections.abc import Iterable

# RFC 9110, section 7.6.1, and what old agents send.
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade",
})  # fmt: skip
# Ours: the API key, the admin's cookies; and what the client sets itself.
_OURS = frozenset({"authorization", "cookie", "host", "content-length", "expect"})
_NEVER = _HOP_BY_HOP | {"", "host", "content-length", "expect"}
PREFIX = "x-backend-"  # X-Backend-Authorization is sent as Authorization
MARK = "tuneup"

Headers = list[tuple[str, str]]


def to_backend(given: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers that a backend is sent, without the caller's key and cookies."""
    pairs = list(given)
    dropped = _HOP_BY_HOP | _OURS | _named_by_connection(pairs)
    own = {
        name[len(PREFIX) :]: value
        for name, value in pairs
        if name.lower().startswith(PREFIX) and name[len(PREFIX) :].lower() not in _NEVER
    }
    hidden = {name.lower() for name in own}
    kept = [
        (name, value)
        for name, value in pairs
        if not name.lower().startswith(PREFIX) and name.lower() not in dropped | hidden
    ]
    return [*kept, *own.items()]


def to_caller(given: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers that the caller is sent; a backend's cookies are none of ours."""
    pairs = list(given)
    dropped = _HOP_BY_HOP | _named_by_connection(pairs)
    return [
        (f"{PREFIX}{name}" if name.lower() == "set-cookie" else name, value)
        for name, value in pairs
        if name.lower() not in dropped
    ]


def _named_by_connection(pairs: Headers) -> set[str]:
    return {
        part.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for part in value.split(",")
    }


def is_loop(given: Iterable[tuple[str, str]]) -> bool:
    """Say whether a call was forwarded here before."""
    return any(
        hop.split()[1:2] == [MARK]
        for name, value in given
        if name.lower() == "via"
        for hop in value.lower().split(",")
    )
