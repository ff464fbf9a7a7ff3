"""Where a read is sent: to a replica that has what its reader wrote, else to the primary."""

import time
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Model

from optimizer.balancer import live
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.reader import Reader
from optimizer.balancer.engine.replicas import AWAY, OWN_WRITE, main_reason
from optimizer.balancer.services.reads import positions, readers, replicas
from optimizer.balancer.services.reads.readers import PRIMARY
from optimizer.balancer.services.reads.statistics import statistics
from optimizer.control import registry, ticker

# After a write reads stay on the primary, as to ask for its position costs as much as a read. Who
# goes on reading for longer than this is better off with the position.
SETTLE_SECONDS = 1.0

NO_READER, BY_RULE, IN_TRANSACTION = "no reader", "by rule", "in a transaction"
PINNED, UNKNOWN, NO_REPLICAS = "pinned", "not known", "no replicas"


def alias_for_read(model: type[Model]) -> str:
    """Return the alias that a read of a model is sent to."""
    one = readers.current.get()
    if one is None:
        return _primary(NO_READER)
    if _is_ours(model._meta.app_label) or model._meta.app_label in _primary_apps(
        live.balancer.current().primary_apps
    ):
        return _primary(BY_RULE)
    connection = connections[PRIMARY]
    # Before it is opened for the first time Django has not switched it to autocommit.
    is_open = connection.connection is not None
    if connection.in_atomic_block or (is_open and not connection.autocommit):
        return _primary(IN_TRANSACTION)
    if one.is_pinned:
        return _primary(PINNED)
    if one.has_written:
        if time.monotonic() - one.told_at < SETTLE_SECONDS:
            return _primary(OWN_WRITE)
        readers.settle(one)
    if not one.is_known and not _learn(one):
        return _primary(UNKNOWN)
    return _primary(PINNED) if one.is_pinned else _pick(one)


def _learn(one: Reader) -> bool:
    """Ask what other processes know of the reader."""
    position = positions.load(one.name)
    if position is None:
        return False
    one.is_known = True
    one.require(position)
    one.stored = max(one.stored, position)
    return True


def _pick(one: Reader) -> str:
    group = replicas.group()
    if group is None or not group.endpoints:
        return _primary(NO_REPLICAS)
    replicas.known.ask()
    reasons = _unfit(group, one.required)
    avoided = OWN_WRITE in reasons.values()
    while (endpoint := group.choose(one.name.encode(), reasons)) is not None:
        alias = endpoint.address
        if alias == PRIMARY:
            return _primary("its share", avoided=avoided)
        try:
            if connections[alias].connection is None:
                connections[alias].ensure_connection()
        except (DatabaseError, InterfaceError) as error:
            replicas.known.by_alias[alias].lost(str(error).partition("\n")[0])
            group.start(endpoint)
            group.done(endpoint, 0.0, failed=True)
            reasons[endpoint.name] = AWAY
            continue
        statistics.count(alias, avoided=avoided)
        return alias
    left = [reasons[one.name] for one in group.available.endpoints if one.name in reasons]
    return _primary(main_reason(left), avoided=avoided)


def _unfit(group: Group, required: int) -> dict[str, str]:
    """Return the backends that may not serve a read, with the reason."""
    now, most, found = time.monotonic(), group.settings.max_lag_seconds, {}
    by_alias = replicas.known.by_alias
    for name, endpoint in group.endpoints.items():
        if endpoint.address == PRIMARY:
            continue
        known = by_alias.get(endpoint.address)
        if known is None:
            found[name] = AWAY  # an alias that is no replica
        elif reason := known.why_not(required, now, most):
            found[name] = reason
    return found


def _primary(reason: str, *, avoided: bool = False) -> str:
    statistics.count(PRIMARY, reason, avoided=avoided)
    ticker.ensure()
    return PRIMARY


@lru_cache(maxsize=1024)
def _is_ours(label: str) -> bool:
    """Say whether an app is Tuneup's own: its reads decide things, and must be of now."""
    return label in {one.name for one in registry.components()} | {"control", "operations"}


@lru_cache(maxsize=8)
def _primary_apps(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def is_ours(alias: Any) -> bool:
    """Say whether an alias is the primary or one of its replicas."""
    return alias == PRIMARY or alias in replicas.known.by_alias
