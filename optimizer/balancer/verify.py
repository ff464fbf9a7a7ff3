"""Self-checks against the running system, each with a group of its own."""

import secrets
import time
from contextlib import closing
from random import Random

from django.conf import settings
from django.db import connections

from optimizer.balancer.engine.addresses import AllowList, BadAddress
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.lsn import to_key
from optimizer.balancer.engine.settings import DEFAULT_NETWORKS, Backend
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.balancer.engine.strategies.maglev import build_table
from optimizer.balancer.services.reads import positions
from optimizer.balancer.services.sharing import EJECT
from optimizer.control.redis import call
from optimizer.control.registry import Check

_BACKENDS = tuple(Backend(f"verify-{n}", f"127.0.0.1:{90 + n}") for n in range(6))


def ejects_what_fails() -> str:
    """A backend whose calls all fail is ejected, and gets no more of them."""
    wanted = Settings("verify", backends=_BACKENDS, strategy="round_robin")
    group = Group(wanted, clock=time.monotonic, random=Random(1).random)  # noqa: S311
    bad = _BACKENDS[0].name
    for _ in range(600):
        endpoint = group.begin()
        group.done(endpoint, 0.001, failed=endpoint.name == bad)
    picks = group.endpoints[bad].picks
    if picks != wanted.consecutive_failures:
        raise AssertionError(f"it got {picks} of 600 calls")
    return f"ejected after {picks} failures"


def agrees_with_envoy() -> str:
    """The Maglev table of six hosts is the one that Envoy publishes."""
    table = list(build_table([one.address for one in _BACKENDS], [1.0] * 6, 7))
    if table != [2, 4, 0, 1, 5, 0, 3]:
        raise AssertionError(f"the table is {table}")
    return "the same table"


def shares_one_ejection() -> str:
    """Of three backends no more are ejected over all processes than may be, each one once."""
    mark = secrets.token_hex(8)
    keys = (f"tuneup:{{balancer}}:verify:{mark}", f"tuneup:{{balancer}}:verify:{mark}:events")

    def eject(name: str) -> list[int]:
        answer: list[int] = EJECT.run(keys, f"v/{name}", "v/", 1, 30.0, 300.0, 1.0, "test", "", 9)
        return answer

    try:
        first, again, second = eject("a"), eject("a"), eject("b")
    finally:
        call(lambda r: r.delete(*keys))
    if first != [30_000, 1] or again[1] != 1 or second != [-1, 0]:
        raise AssertionError(f"{first}, {again}, {second}")
    return "1 of 2 ejected, for 30 s"


def refuses_addresses_outside() -> str:
    """An address outside the allowed networks is refused, also behind a name."""
    allowed = AllowList(DEFAULT_NETWORKS)
    for host in ("169.254.169.254", "::ffff:169.254.169.254", "elsewhere.test"):
        try:
            allowed.addresses(host, lambda _: ["169.254.169.254"])
        except BadAddress:
            continue
        raise AssertionError(f"{host} may be called")
    return "refused"


def remembers_what_was_written() -> str:
    """What a reader must see never goes back; and each replica follows the primary's log."""
    name, shared = f"verify:{secrets.token_hex(8)}", positions.Positions()
    try:
        for position in (2**60 + 1, 2**60):
            shared.store(name, position)
        known = call(lambda r: r.get(positions.key_of(name)))
    finally:
        call(lambda r: r.delete(positions.key_of(name)))
    if known != to_key(2**60 + 1).encode():
        raise AssertionError(f"the position kept is {known!r}")
    for alias in settings.DATABASE_REPLICAS:
        with (
            closing(connections.create_connection(alias)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone() != (True,):
                raise AssertionError(f"{alias} is no standby")
    count = len(settings.DATABASE_REPLICAS)
    return f"the later position is kept; {count or 'no'} replicas follow"


CHECKS = (
    Check("a backend that fails is ejected", ejects_what_fails),
    Check("tables agree with Envoy's", agrees_with_envoy),
    Check("ejections are shared, and bounded", shares_one_ejection),
    Check("readers see what they wrote", remembers_what_was_written),
    Check("addresses outside the allow-list are refused", refuses_addresses_outside),
)
