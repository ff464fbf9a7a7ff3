"""Which namespace has which prefix, as all processes agreed on in Redis.

When a key passes to another namespace, what its former one still holds of it must never come back,
however long it would live: so what a change of the mapping touches begins a new generation.
"""

import msgspec

from caching.engine.namespace import DEFAULT
from caching.engine.remote import Remote

Mapping = dict[str, str]  # names to prefixes
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Mapping).decode


def adopt(remote: Remote, mapping: Mapping) -> set[str]:
    """Make Redis know the mapping; return the namespaces that began anew. Raises Away."""
    new = _encode(mapping)
    while True:
        known = remote.mapping()
        if known == new:
            return set()
        touched = affected(_decode(known), mapping) if known is not None else set()
        if remote.remap(known or b"", new, touched):
            return touched


def affected(old: Mapping, new: Mapping) -> set[str]:
    """Return the namespaces that gave or got keys between two mappings."""
    changed = old.items() ^ new.items()
    owners = {_owner(prefix, mapping, name) for name, prefix in changed for mapping in (old, new)}
    return {name for name, _ in changed} | owners


def _owner(prefix: str, mapping: Mapping, besides: str) -> str:
    """Return who else has the keys that begin with the prefix."""
    others = [
        (len(of), name) for name, of in mapping.items() if name != besides and prefix.startswith(of)
    ]
    return max(others, default=(0, DEFAULT))[1]
