"""How the indexes of a MongoDB collection differ from those that are wanted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

OK, MISSING, DIFFERENT, EXTRA = "ok", "missing", "different", "extra"
LEAST_DAYS_UNUSED = 7
Keys = tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an index is; two with the same all but the name serve the same."""

    name: str
    keys: Keys
    unique: bool = False
    sparse: bool = False
    expire_after_seconds: int | None = None
    partial_filter: Mapping[str, Any] | None = None
    collation: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "IndexSpec":
        """Read an index as the server's `listIndexes` describes it."""
        expires = document.get("expireAfterSeconds")
        return cls(
            name=str(document["name"]),
            keys=_keys_of(document),
            unique=bool(document.get("unique")),
            sparse=bool(document.get("sparse")),
            expire_after_seconds=None if expires is None else int(expires),
            partial_filter=_plain(document.get("partialFilterExpression")),
            collation=_plain(document.get("collation")),
        )

    def options(self) -> dict[str, Any]:
        """Return the options of `createIndexes`, without the keys."""
        found: dict[str, Any] = {"name": self.name}
        if self.unique:
            found["unique"] = True
        if self.sparse:
            found["sparse"] = True
        if self.expire_after_seconds is not None:
            found["expireAfterSeconds"] = self.expire_after_seconds
        if self.partial_filter:
            found["partialFilterExpression"] = dict(self.partial_filter)
        if self.collation:
            found["collation"] = dict(self.collation)
        return found


@dataclass(frozen=True, slots=True)
class Drift:
    """One index, and how it stands. `wanted` is None for an extra one, `there` for a missing one.

    `differs` names what is different; `is_unused` is said by servers that have counted for a week.
    """

    kind: str
    wanted: IndexSpec | None
    there: IndexSpec | None
    differs: tuple[str, ...] = ()
    is_unused: bool = False

    @property
    def name(self) -> str:
        """The name on the server, or the one that it is to have."""
        spec = self.there or self.wanted
        return spec.name if spec is not None else ""

    @property
    def only_expires_differently(self) -> bool:
        """Whether the server can change it without building it anew."""
        return self.differs == ("expire_after_seconds",) and not (
            self.wanted is None
            or self.there is None
            or self.wanted.expire_after_seconds is None
            or self.there.expire_after_seconds is None
        )


def compare(
    wanted: Iterable[IndexSpec],
    there: Iterable[Mapping[str, Any]],
    counted: Sequence[Mapping[str, Any]] = (),
    now: datetime | None = None,
) -> list[Drift]:
    """Return how each index stands: those wanted first, then the extra ones.

    `there` is the answer of `listIndexes`, `counted` that of `$indexStats`.
    """
    left = {spec.name: spec for spec in map(IndexSpec.read, there) if spec.name != "_id_"}
    idle = _idle(counted, (now or datetime.now(UTC)) - timedelta(days=LEAST_DAYS_UNUSED))
    found: list[Drift] = []
    by_definition: list[IndexSpec] = []
    for spec in wanted:
        same = left.pop(spec.name, None)
        if same is None:
            by_definition.append(spec)
            continue
        differs = differences(spec, same)
        kind = DIFFERENT if differs else OK
        found.append(Drift(kind, spec, same, differs, _is_unused(same, idle)))
    for spec in by_definition:
        # The server makes no second index that differs by its name alone.
        other = next((one for one in left.values() if not differences(spec, one)), None)
        if other is None:
            found.append(Drift(MISSING, spec, None))
        else:
            del left[other.name]
            found.append(Drift(OK, spec, other, is_unused=_is_unused(other, idle)))
    extra = [Drift(EXTRA, None, one, is_unused=_is_unused(one, idle)) for one in left.values()]
    return found + extra


def differences(wanted: IndexSpec, there: IndexSpec) -> tuple[str, ...]:
    """Return what of an index is not as wanted, without its name."""
    names = ("unique", "sparse", "expire_after_seconds", "partial_filter")
    differs = [name for name in names if getattr(wanted, name) != getattr(there, name)]
    if _comparable(wanted.keys) != _comparable(there.keys):
        differs.insert(0, "keys")
    if not _same_collation(wanted.collation, there.collation):
        differs.append("collation")
    return tuple(differs)


def _same_collation(wanted: Mapping[str, Any] | None, there: Mapping[str, Any] | None) -> bool:
    """Compare what is wanted alone: the server fills in the defaults of the locale."""
    if not wanted or not there:
        return not wanted and not there
    return all(there.get(name) == value for name, value in wanted.items())


def _keys_of(document: Mapping[str, Any]) -> Keys:
    keys: list[tuple[str, int | str]] = []
    for name, way in document["key"].items():
        if name == "_fts":  # a text index: its fields are told by their weights
            keys += [(str(field), "text") for field in document.get("weights", {})]
        elif name != "_ftsx":
            keys.append((str(name), way if isinstance(way, str) else int(way)))
    return tuple(keys)


def _comparable(keys: Keys) -> list[tuple[str, int | str]]:
    """Return the keys with those of text in one order: the server keeps none."""
    texts = sorted(one for one in keys if one[1] == "text")
    return [one if one[1] != "text" else texts.pop(0) for one in keys]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _idle(counted: Sequence[Mapping[str, Any]], since: datetime) -> set[str]:
    """Return the indexes that every server has counted since then, and none has seen used."""
    idle: dict[str, bool] = {}
    for one in counted:
        accesses = one.get("accesses") or {}
        begun = accesses.get("since")
        if isinstance(begun, datetime) and begun.tzinfo is None:
            begun = begun.replace(tzinfo=UTC)
        is_idle = accesses.get("ops") == 0 and isinstance(begun, datetime) and begun <= since
        name = str(one.get("name"))
        idle[name] = is_idle and idle.get(name, True)
    return {name for name, is_idle in idle.items() if is_idle}


def _is_unused(spec: IndexSpec, idle: set[str]) -> bool:
    # A unique index, and one that lets documents expire, work without any query.
    return spec.name in idle and not spec.unique and spec.expire_after_seconds is None


@dataclass(slots=True)
class BuildProgress:
    """How far the server is with building an index; `total` is 0 where it does not tell."""

    done: int = 0
    total: int = 0
    says: str = field(default="")


def read_progress(operations: Iterable[Mapping[str, Any]], namespace: str) -> BuildProgress:
    """Read how far the building of indexes of "database.collection" is, from `$currentOp`."""
    database, _, collection = namespace.partition(".")
    for one in operations:
        command = one.get("command") or {}
        is_ours = command.get("createIndexes") == collection and (
            str(one.get("ns", "")).startswith(f"{database}.") or command.get("$db") == database
        )
        progress = one.get("progress") or {}
        if is_ours and progress.get("total"):
            return BuildProgress(
                int(progress.get("done", 0)), int(progress["total"]), str(one.get("msg", ""))
            )
    return BuildProgress()
