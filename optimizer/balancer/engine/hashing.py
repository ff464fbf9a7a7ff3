"""Hashes of keys and addresses: xxHash64, as Envoy uses it, so that tables agree."""

from xxhash import xxh64_intdigest

# hash_bytes(key, seed=0) -> 64 bits
hash_bytes = xxh64_intdigest


def key_bytes(key: str | bytes) -> bytes:
    """Return a key as it is hashed; text that is no Unicode is hashed all the same."""
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
