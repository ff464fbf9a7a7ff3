"""What the second tier holds: a value with its times, authenticated.

Layout, in bytes: `T1` | codec (1: p pickle, j JSON, m msgpack) | flags (1: bit 0 packed by zlib) |
expiry, stale until, written at (3 doubles, seconds since the epoch, big-endian; 0 never) | load
time (a float, seconds) | payload | MAC (16). The MAC is keyed BLAKE2b over what the value is bound
to (its namespace and name) and all before the MAC; the reader fixes it, and nothing is decoded
before it is right. The generation stands in the key that the value is stored under.
"""

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import msgspec

_HEADER = struct.Struct(">2scBdddf")
_pack, _unpack_from = _HEADER.pack, _HEADER.unpack_from
HEADER_BYTES = _HEADER.size
MAC_BYTES = 16
_MAGIC = b"T1"
_COMPRESSED = 1
_FASTEST = 1
MAX_UNPACKED_BYTES = 256 * 1024**2


class Unreadable(Exception):
    """A payload that is forged, foreign, damaged or of an unknown format."""


Opened = tuple[Any, float, float, float]  # value, expiry, stale until, load time


@dataclass(frozen=True, slots=True)
class Codec:
    """How values become bytes and back."""

    mark: bytes
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    exact: bool  # gives back what it was given, tuples and all


def _dump_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _dump_pickle(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


CODECS = {
    "pickle": Codec(b"p", _dump_pickle, pickle.loads, exact=True),  # noqa: S301  # behind the MAC
    "json": Codec(b"j", _dump_json, json.loads, exact=False),
    "msgpack": Codec(b"m", msgspec.msgpack.encode, msgspec.msgpack.decode, exact=False),
}
_BY_MARK = {one.mark: one for one in CODECS.values()}


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a payload."""

    codec: str
    compressed: bool
    expires: float
    stale_until: float
    written: float
    load_seconds: float


def header_of(data: bytes) -> Header:
    """Return the header of an envelope that was opened before: nothing is verified here."""
    _, mark, flags, expires, stale_until, written, load_seconds = _unpack_from(data)
    codec = next(name for name, one in CODECS.items() if one.mark == mark)
    return Header(codec, bool(flags & _COMPRESSED), expires, stale_until, written, load_seconds)


class Sealer:
    """Packs values into envelopes and opens them again.

    `keys`: the secret to sign with, then those that are still accepted.
    """

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        derived = [
            blake2b(key, digest_size=32, person=b"tuneup-cache-key").digest() for key in keys
        ]
        self._newest, *self._older = (
            blake2b(key=key, digest_size=MAC_BYTES, person=b"tuneup-cache") for key in derived
        )

    def seal(
        self,
        bound_to: bytes,
        payload: bytes,
        codec: str,
        *,
        expires: float,
        stale_until: float,
        written: float,
        load_seconds: float = 0.0,
        compress_over_bytes: int = 0,
    ) -> bytes:
        """Return the envelope of an encoded value, which opens for the same `bound_to` alone."""
        flags = 0
        if compress_over_bytes and compress_over_bytes < len(payload) <= MAX_UNPACKED_BYTES:
            packed = zlib.compress(payload, _FASTEST)
            if len(packed) < len(payload):
                flags, payload = _COMPRESSED, packed
        mark = CODECS[codec].mark
        body = _pack(_MAGIC, mark, flags, expires, stale_until, written, load_seconds) + payload
        return body + self._sign(bound_to, body)

    def open(self, bound_to: bytes, data: bytes) -> Opened:
        """Return what was sealed for the same `bound_to`. Raises Unreadable for all else."""
        body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
        if not compare_digest(self._sign(bound_to, body), mac):
            self._try_older(bound_to, body, mac)
        _, mark, flags, expires, stale_until, _, load_seconds = _unpack_from(body)
        try:
            payload = body[HEADER_BYTES:]
            if flags & _COMPRESSED:
                payload = _decompressed(payload)
            return _BY_MARK[mark].load(payload), expires, stale_until, load_seconds
        except Exception as error:  # a class that is gone, another version of a library
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def _sign(self, bound_to: bytes, body: bytes) -> bytes:
        mac = self._newest.copy()
        mac.update(bound_to)
        mac.update(body)
        digest: bytes = mac.digest()
        return digest

    def _try_older(self, bound_to: bytes, body: bytes, mac: bytes) -> None:
        """Accept what an older secret has signed. Raises Unreadable."""
        if len(body) < HEADER_BYTES or not body.startswith(_MAGIC):
            raise Unreadable("no envelope of this format")
        for keyed in self._older:
            other = keyed.copy()
            other.update(bound_to)
            other.update(body)
            if compare_digest(other.digest(), mac):
                return
        raise Unreadable("a wrong MAC: forged, foreign or moved")


def _decompressed(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    value = unpacker.decompress(payload, MAX_UNPACKED_BYTES)
    if not unpacker.eof:
        raise Unreadable("more than a value may have")
    return value
