"""The second tier: values in Redis, each change one script, told to every process."""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from caching.engine.namespace import Space
from caching.engine.patterns import Pattern

CHUNK = 500  # names in a script: a millisecond of Redis's time
BATCH_BYTES = 1024**2  # of values in a script
SWEEP_CHUNK = 250  # a sweep has time: half a millisecond
FLOOR_MS = 3_600_000  # longer than any load may take
SCRIPTS = (
    "set", "write", "delete", "begin", "fill", "invalidate", "names", "floor", "tag", "bump",
    "remap", "insist", "sweep", "sweep_tags",
)  # fmt: skip


class Away(Exception):
    """Redis does not answer, or refuses."""


class Execute(Protocol):
    """Sends one command to Redis and returns its reply."""

    def __call__(self, *parts: bytes | str | int | float) -> Any: ...


Run = Callable[..., Any]
T = TypeVar("T")


@dataclass(slots=True)
class Item:
    """A value to be written; `ttl_ms` 0 keeps it for ever."""

    namespace: str
    name: str
    ttl_ms: int
    payload: bytes
    expected: bytes = b""
    tags: Sequence[str] = ()

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (
            self.namespace, self.name, self.ttl_ms, self.payload, self.expected, len(self.tags),
            *self.tags,
        )  # fmt: skip


@dataclass(slots=True)
class Lease:
    """The right to store what is being loaded."""

    token: bytes
    began: int
    generation: bytes


class Remote:
    """Redis's side. Every call raises Away, as `execute` and the scripts do.

    `root` begins all names; `scripts` run those of `SCRIPTS`.
    """

    def __init__(self, root: str, execute: Execute, scripts: Mapping[str, Run]) -> None:
        self.root, self._execute, self._scripts = root, execute, scripts
        self._set = scripts["set"]
        self.channel = f"{root}~news"

    def _run(self, script: str, *arguments: Any) -> Any:
        return self._scripts[script]((self.root,), *arguments)

    def get(self, space: Space, name: str) -> bytes | None:
        """Return the stored bytes. The generation is asked with them, so none is served late."""
        while True:
            generation = space.generation
            place = f"{self.root}:{space.name}.{generation.decode()}:{name}"
            held, now = self._execute("MGET", place, f"{self.root}~gen:{space.name}")
            if (now or b"0") == generation:
                found: bytes | None = held
                return found
            space.generation = now or b"0"

    def get_many(self, wanted: Sequence[tuple[Space, str]]) -> list[bytes | None]:
        """Return the stored bytes of each, in one trip where the generations are known."""
        while True:
            spaces = list({space.name: space for space, _ in wanted}.values())
            noted = [one.generation for one in spaces]
            parts = [f"{self.root}:{s.name}.{s.generation.decode()}:{name}" for s, name in wanted]
            parts += [f"{self.root}~gen:{one.name}" for one in spaces]
            held = self._execute("MGET", *parts)
            now = [one or b"0" for one in held[len(wanted) :]]
            if now == noted:
                values: list[bytes | None] = held[: len(wanted)]
                return values
            for space, generation in zip(spaces, now, strict=True):
                space.generation = generation

    def set(self, item: Item) -> int:
        """Write one value without tags, and tell it; return the news' number."""
        seq: int = self._set((self.root,), item.namespace, item.name, item.ttl_ms, item.payload)
        return seq

    def write(self, items: Sequence[Item], *, mode: str = "set") -> list[int]:
        """Write values; return the news' number (0: none), then 1 or 0 for each."""
        arguments: list[Any] = [mode]
        for item in items:
            arguments += item.arguments
        reply: list[int] = self._run("write", *arguments)
        return reply

    def delete(self, names: Sequence[tuple[str, str]]) -> tuple[int, int]:
        """Delete names of namespaces; return the news' number and how many values there were."""
        seq, count = self._run("delete", *(part for pair in names for part in pair))
        return seq, count

    def begin(
        self, space: Space, name: str, lease_ms: int, seen: bytes, *, yields: bool = False
    ) -> tuple[bytes | None, Lease | None, int]:
        """Begin a load: return a value that is there by now, or a lease, or how long another's is.

        `seen` is the header of the stale value the caller has, b"" for none. A lease that `yields`
        keeps nobody from loading: who comes next takes it over.
        """
        token = (b"y" if yields else b"k") + secrets.token_bytes(8)
        kind, *rest = self._run("begin", space.name, name, token, lease_ms, seen)
        if kind == 0:
            return rest[0], None, 0
        if kind == 1:
            return None, Lease(token, rest[0], rest[1]), 0
        return None, None, max(1, rest[0])

    def give_back(self, lease: Lease, space: str, name: str) -> None:
        """End a load that gave nothing to store."""
        self.fill(lease, Item(space, name, 0, b""))

    def fill(self, lease: Lease, item: Item) -> int | None:
        """End a load; None when something has changed since it began, else the news' number.

        That is 0 where nothing was there before, so that there is no news.
        """
        arguments = (
            item.namespace, item.name, lease.token, lease.began, lease.generation, item.ttl_ms,
            item.payload, *item.tags,
        )  # fmt: skip
        seq: int = self._run("fill", *arguments)
        return None if seq < 0 else seq

    def invalidate(self, space: str, pattern: Pattern, head: str) -> int:
        """Delete what fits the pattern behind `head`; return how many values. Never scans Redis."""
        low, high = _range(head + pattern.literal)
        total, more = 0, True
        if pattern.is_prefix:
            while more:
                count, more = self._run(
                    "invalidate", space, low, high, CHUNK, FLOOR_MS, head, pattern.text
                )
                total += count
            return total
        self._run("floor", space, FLOOR_MS, head, pattern.text)
        for names in self._listed(space, low, high):
            fitting = [one for one in names if fits(pattern, head, one)]
            if fitting:
                total += self.delete([(space, one) for one in fitting])[1]
        # A copy that was read before its value was deleted must not outlive it.
        self._run("floor", space, FLOOR_MS, head, pattern.text)
        return total

    def names(self, space: str, pattern: Pattern, head: str, most: int) -> list[str]:
        """Return names that fit, sorted, at most so many; some may have expired."""
        found: list[str] = []
        for names in self._listed(space, *_range(head + pattern.literal)):
            found += [one for one in names if fits(pattern, head, one)]
            if len(found) >= most:
                break
        return found[:most]

    def count(self, space: str, pattern: Pattern, head: str) -> int:
        """Count the names that fit; some may have expired."""
        low, high = _range(head + pattern.literal)
        if pattern.is_prefix:
            return int(self._run("names", space, low, high, 0))
        return sum(
            sum(fits(pattern, head, one) for one in names)
            for names in self._listed(space, low, high)
        )

    def _listed(self, space: str, low: bytes, high: bytes) -> Iterable[list[str]]:
        while True:
            names: list[bytes] = self._run("names", space, low, high, CHUNK)
            yield [one.decode() for one in names]
            if len(names) < CHUNK:
                return
            low = b"(" + names[-1]

    def existing(self, space: Space, names: Sequence[str]) -> int:
        """Count the names that are there; some may be past their TTL."""
        generation = self._execute("GET", f"{self.root}~gen:{space.name}") or b"0"
        where = f"{self.root}:{space.name}.{generation.decode()}"
        found: int = self._execute("EXISTS", *(f"{where}:{name}" for name in names))
        return found

    def tagged(self, tag: str) -> int:
        """Count what has the tag; some may have expired."""
        found: int = self._execute("SCARD", f"{self.root}~tag:{tag}")
        return found

    def invalidate_tag(self, tag: str) -> tuple[int, list[str], int]:
        """Delete what has the tag; return how many values, their names, the news' number."""
        total, more, seq, names = 0, 1, 0, list[str]()
        while more:
            count, more, seq, part = self._run("tag", tag, CHUNK, FLOOR_MS)
            total += count
            names += [one.decode() for one in part]
        return total, names, seq

    def mapping(self) -> bytes | None:
        """Return the mapping of prefixes that all agreed on, as it was written."""
        found: bytes | None = self._execute("GET", f"{self.root}~mapping")
        return found

    def remap(self, known: bytes, new: bytes, touched: Iterable[str]) -> bool:
        """Agree on another mapping; False where another process was faster."""
        return bool(self._run("remap", known, new, *touched))

    def bump(self, spaces: Iterable[str]) -> int:
        """Put all that namespaces hold out of reach, at once; return the news' number."""
        seq: int = self._run("bump", *spaces)
        return seq

    # --- Sweeping ----------------------------------------------------------------------------

    def begin_sweep(self, token: str, lock_ms: int) -> bool:
        """Get the right to sweep for so long; False while another has it."""
        return bool(self._run("insist", "SET", f"{self.root}~sweeping", token, "NX", "PX", lock_ms))

    def end_sweep(self, token: str, place: bytes) -> None:
        """Give the right back, and note where the sweep stopped."""
        self._run("insist", "SET", f"{self.root}~swept", place)
        if self._execute("GET", f"{self.root}~sweeping") == token.encode():
            self._execute("DEL", f"{self.root}~sweeping")

    def swept_until(self) -> bytes:
        """Return what was noted where the last sweep stopped."""
        place: bytes = self._execute("GET", f"{self.root}~swept") or b""
        return place

    def know(self, spaces: Collection[str]) -> list[str]:
        """Note which namespaces there are; put out of reach, and return, those that are no more."""
        key = f"{self.root}~spaces"
        gone = sorted({one.decode() for one in self._execute("SMEMBERS", key)} - set(spaces))
        if gone:
            self.bump(gone)
            self._execute("SREM", key, *gone)
        self._run("insist", "SADD", key, *spaces)
        return gone

    def garbage(self) -> list[str]:
        """Return the old generations that are still to be swept."""
        return sorted(one.decode() for one in self._execute("SMEMBERS", f"{self.root}~garbage"))

    def sweep_garbage(self, generation: str) -> tuple[bool, int]:
        """Delete a part of an old generation; return whether it is done, and how many names."""
        low, _, count = self._run("sweep", "garbage", generation, b"-", SWEEP_CHUNK)
        return not low, count

    def sweep_index(self, space: str, low: bytes) -> tuple[bytes, int, int]:
        """Let an index forget what has expired behind a name, b"" for the first.

        Returns the name to go on from, b"" when done, and how many were seen and forgotten.
        """
        generation = self._execute("GET", f"{self.root}~gen:{space}") or b"0"
        start = b"(" + low if low else b"-"
        last, seen, count = self._run(
            "sweep", "live", f"{space}.{generation.decode()}", start, SWEEP_CHUNK
        )
        return last, seen, count

    def sweep_tags(self, low: bytes, cursor: int) -> tuple[bytes, int, int, int]:
        """Let tags forget what is gone, from a bound (b"" for the first) and a cursor on.

        Returns where to go on, b"" when done, and how many members were seen and forgotten.
        """
        bound, after, seen, count = self._run("sweep_tags", low or b"-", cursor, SWEEP_CHUNK)
        return bound, int(after), seen, count


def fits(pattern: Pattern, head: str, name: str) -> bool:
    """Say whether a name that begins with `head` fits."""
    return name.startswith(head) and bool(pattern.match.fullmatch(name, len(head)))


def batches(items: Sequence[T], size: Callable[[T], int]) -> Iterable[Sequence[T]]:
    """Yield parts that one script takes within the time budget: not too many, nor too large."""
    part: list[T] = []
    held_bytes = 0
    for item in items:
        if part and (len(part) == CHUNK or held_bytes + size(item) > BATCH_BYTES):
            yield part
            part, held_bytes = [], 0
        part.append(item)
        held_bytes += size(item)
    if part:
        yield part


def chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Yield parts that one script takes."""
    for at in range(0, len(items), CHUNK):
        yield items[at : at + CHUNK]


def _range(prefix: str) -> tuple[bytes, bytes]:
    """Return the lexicographic range of what begins with the prefix; no UTF-8 has a byte 255."""
    return b"[" + prefix.encode(), b"(" + prefix.encode() + b"\xff"
