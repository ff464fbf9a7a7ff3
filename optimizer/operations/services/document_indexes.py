"""Make MongoDB's indexes agree with the rows in the admin: safe to repeat, and at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections, router
from pymongo.errors import OperationFailure, PyMongoError

from optimizer.operations.engine.index_drift import (
    DIFFERENT,
    EXTRA,
    MISSING,
    OK,
    BuildProgress,
    Drift,
    IndexSpec,
    compare,
    read_progress,
)
from optimizer.operations.models import DocumentIndex
from optimizer.operations.models.document_indexes import key_text
from optimizer.operations.services.index_specs import options_of, spec_of

ALIAS = "mongo"
_LOOK_SECONDS = 0.5
_INDEX_NOT_FOUND, _NAMESPACE_NOT_FOUND = 27, 26


class NoMongo(Exception):
    """MONGODB_URI is not set."""


class MongoAway(Exception):
    """MongoDB does not answer, or refuses; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """An index as it stands in a collection."""

    database: str
    collection: str
    drift: Drift
    is_django_s: bool = False  # of a model, whose migrations look after it

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.collection}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about an index; `error` is "" where it went well."""

    found: Found
    did: str
    error: str = ""


Watch = Callable[[Found, BuildProgress], None]


def is_configured() -> bool:
    """Say whether there is a MongoDB at all."""
    return ALIAS in connections.settings


@contextmanager
def _server() -> Iterator[Any]:
    """Give the default database. Raises NoMongo, MongoAway."""
    if not is_configured():
        raise NoMongo("MONGODB_URI is not set, so there is no MongoDB.")
    try:
        connection: Any = connections[ALIAS]
        yield connection.database
    except PyMongoError as error:
        raise MongoAway(f"{type(error).__name__}: {_short(error)}") from error


def survey() -> list[Found]:
    """Return how every wanted index stands, and the others of the same collections.

    Raises NoMongo, MongoAway.
    """
    with _server() as default:
        wanted: dict[tuple[str, str], list[IndexSpec]] = {}
        for row in DocumentIndex.objects.all():
            specs = wanted.setdefault((row.database or default.name, row.collection), [])
            if row.enabled:
                specs.append(spec_of(row))
        ours = _collections_of_models()
        found: list[Found] = []
        for (database, collection), specs in wanted.items():
            there = default.client[database][collection]
            drifts = compare(specs, there.list_indexes(), _counted(there))
            is_django_s = database == default.name and collection in ours
            found += [Found(database, collection, one, is_django_s) for one in drifts]
        return found


def to_do(found: list[Found], *, drop_extra: bool) -> list[Found]:
    """Return those that are to be made, changed or dropped. A model's own are never dropped."""
    wrong = {MISSING, DIFFERENT} | ({EXTRA} if drop_extra else set())
    return [
        one
        for one in found
        if one.drift.kind in wrong and not (one.drift.kind == EXTRA and one.is_django_s)
    ]


def make(one: Found, watch: Watch = lambda _found, _progress: None) -> Outcome:
    """Make, change or drop one index; `watch` is told each half second how far a build is.

    What the server refuses is in the outcome. Raises NoMongo, MongoAway where it does not answer.
    """
    drift = one.drift
    with _server() as default:
        database = default.client[one.database]
        try:
            if drift.wanted is None:
                _drop(database[one.collection], drift.name)
                return Outcome(one, "dropped")
            if drift.kind == OK:
                return Outcome(one, "nothing")
            if drift.there is None:
                _build(one, database, drift.wanted, watch)
                return Outcome(one, "made")
            if drift.only_expires_differently:
                expires = drift.wanted.expire_after_seconds
                changed = {"name": drift.name, "expireAfterSeconds": expires}
                database.command({"collMod": one.collection, "index": changed})
                return Outcome(one, "changed")
            return _build_anew(one, database, drift.wanted, drift.there, watch)
        except OperationFailure as error:
            return Outcome(one, "nothing", _short(error))


def says_of(one: Found) -> str:
    """Return what is to be known of an index, in few words."""
    drift = one.drift
    spec = drift.wanted or drift.there
    parts = [key_text(spec.keys), *options_of(spec)] if spec is not None else []
    if drift.differs and drift.there is not None:
        there = ", ".join([key_text(drift.there.keys), *options_of(drift.there)])
        parts.append(f"differs in {', '.join(drift.differs)} (there: {there})")
    if drift.kind == OK and drift.wanted is not None and drift.wanted.name != drift.name:
        parts.append(f"wanted as {drift.wanted.name}")
    if drift.kind == EXTRA and one.is_django_s:
        parts.append("of a Django model, stays")
    if drift.is_unused:
        parts.append("unused for a week or longer")
    return "; ".join(parts)


def _build_anew(
    one: Found, database: Any, wanted: IndexSpec, there: IndexSpec, watch: Watch
) -> Outcome:
    """Replace an index; where the new one cannot be built the old one comes back."""
    _drop(database[one.collection], there.name)
    try:
        _build(one, database, wanted, watch)
    except OperationFailure as error:
        _build(one, database, there, watch)
        return Outcome(one, "nothing: the old one is back", _short(error))
    return Outcome(one, "built anew")


def _build(one: Found, database: Any, spec: IndexSpec, watch: Watch) -> None:
    errors: list[PyMongoError] = []

    def build() -> None:
        try:
            database[one.collection].create_index(list(spec.keys), **spec.options())
        except PyMongoError as error:
            errors.append(error)

    thread = threading.Thread(target=build, name="index-build")
    thread.start()
    thread.join(_LOOK_SECONDS)
    while thread.is_alive():
        watch(one, _progress(database.client, one.namespace))
        thread.join(_LOOK_SECONDS)
    if errors:
        raise errors[0]


def _progress(client: Any, namespace: str) -> BuildProgress:
    try:
        running = list(client.admin.aggregate([{"$currentOp": {"allUsers": True}}]))
    except PyMongoError:  # not every user may ask; the build goes on all the same
        return BuildProgress()
    return read_progress(running, namespace)


def _drop(collection: Any, name: str) -> None:
    try:
        collection.drop_index(name)
    except OperationFailure as error:
        if error.code not in (_INDEX_NOT_FOUND, _NAMESPACE_NOT_FOUND):  # somebody else was first
            raise


def _counted(collection: Any) -> list[Any]:
    try:
        return list(collection.aggregate([{"$indexStats": {}}]))
    except OperationFailure:  # not every server counts, and not every user may ask
        return []


def _collections_of_models() -> set[str]:
    return {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if router.db_for_write(model) == ALIAS
    }


def _short(error: PyMongoError) -> str:
    return str(error).partition(", full error:")[0][:300]
