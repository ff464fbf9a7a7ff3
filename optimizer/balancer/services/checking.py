"""Active health checks: run by beat, in parallel, with a time limit each; shared by Redis."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import redis
from django.db import connections
from django.db.utils import DatabaseError, InterfaceError
from redis.backoff import NoBackoff
from redis.retry import Retry

from optimizer.balancer import live, metrics
from optimizer.balancer.engine.addresses import BadAddress
from optimizer.balancer.engine.settings import Backend, Group
from optimizer.balancer.models.watched import status_ranges
from optimizer.balancer.services import places, sharing
from optimizer.balancer.services.sharing import Health, field_of
from optimizer.control.redis import call

AT_ONCE = 32
MAX_SECONDS = 20.0  # of one turn
TURN = "tuneup:{balancer}:checking"
_MAX_BODY_BYTES = 256 * 1024


class Unhealthy(Exception):
    """A check that failed, and what was seen."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found."""

    healthy: bool
    seconds: float
    says: str = ""


def check_due() -> int:
    """Check the backends whose turn it is; return how many were. Raises RedisAway.

    One worker does it at a time: backends that hang must not keep all of them.
    """
    groups = [one for one in live.balancer.current().groups.values() if one.check_kind != "none"]
    if not groups or not call(lambda r: r.set(TURN, "1", nx=True, ex=int(MAX_SECONDS) + 10)):
        return 0
    try:
        return _check_due(groups)
    finally:
        call(lambda r: r.delete(TURN))


def _check_due(groups: list[Group]) -> int:
    shared = sharing.read()
    due: list[tuple[Group, Backend]] = []
    for group in groups:
        for backend in group.backends:
            known = shared.health.get(field_of(group.name, backend.name))
            # Beat's ticks are coarse: half a second early is in time.
            if backend.enabled and (
                known is None or shared.now - known.at >= group.check_interval_seconds - 0.5
            ):
                due.append((group, backend))
    if not due:
        return 0
    pool = ThreadPoolExecutor(min(AT_ONCE, len(due)), thread_name_prefix="tuneup-balancer-check")
    try:
        running = {pool.submit(check, *one): one for one in due}
        wait(running, timeout=MAX_SECONDS)
        rows = {}
        for future, (group, backend) in running.items():
            if future.cancel():
                continue  # its turn did not come
            found = future.result() if future.done() else Checked(False, MAX_SECONDS, "no answer")
            field = field_of(group.name, backend.name)
            rows[field] = judge(shared.health.get(field), found, group, shared.now)
        _write(rows)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return len(rows)


def judge(before: Health | None, found: Checked, group: Group, now: float) -> Health:
    """Return a backend's health after one more check: it falls and rises after several."""
    if before is None:  # the first verdict holds at once
        return Health(found.healthy, now, seconds=found.seconds, says=found.says)
    rose = before.rose + 1 if found.healthy else 0
    fell = 0 if found.healthy else before.fell + 1
    healthy = before.healthy
    if healthy and fell >= group.check_fall:
        healthy = False
    elif not healthy and rose >= group.check_rise:
        healthy = True
    return Health(healthy, now, rose, fell, found.seconds, found.says)


def check(group: Group, backend: Backend) -> Checked:
    """Check one backend now; what it finds is told, never raised."""
    began = time.perf_counter()
    try:
        _KINDS[group.check_kind](group, backend)
    except (
        Unhealthy,
        BadAddress,
        OSError,
        httpx.HTTPError,
        httpx.InvalidURL,
        redis.RedisError,
        DatabaseError,
        InterfaceError,
    ) as error:
        found = Checked(False, time.perf_counter() - began, f"{type(error).__name__}: {error}")
    else:
        found = Checked(True, time.perf_counter() - began)
    outcome = "ok" if found.healthy else "failed"
    metrics.CHECKS.labels(group.name, backend.name, outcome).inc()
    return found


def _http(group: Group, backend: Backend) -> None:
    limit = time.perf_counter() + group.check_timeout_seconds
    place = places.place_of(group.kind, backend.address)
    url, headers, extensions = place.request(group.check_path)
    headers["User-Agent"] = "tuneup-health-check"
    with (
        httpx.Client(timeout=group.check_timeout_seconds, follow_redirects=False) as client,
        client.stream("GET", url, headers=headers, extensions=extensions) as answer,
    ):
        status = answer.status_code
        if not any(low <= status <= high for low, high in status_ranges(group.check_status)):
            raise Unhealthy(f"answers {status}")
        if not group.check_body:
            return
        body = b""
        for part in answer.iter_bytes():
            body += part
            if group.check_body.encode() in body:
                return
            if time.perf_counter() > limit:
                raise Unhealthy("the page was not there in time")
            if len(body) > _MAX_BODY_BYTES:
                break
    raise Unhealthy(f"the page has no {group.check_body!r}")


def _tcp(group: Group, backend: Backend) -> None:
    place = places.place_of(group.kind, backend.address)
    with socket.create_connection((place.ip, place.port), timeout=group.check_timeout_seconds):
        return


def _redis(group: Group, backend: Backend) -> None:
    place = places.place_of(group.kind, backend.address)
    seconds = group.check_timeout_seconds
    url = urlsplit(backend.address)
    tls = {"ssl": True, "ssl_check_hostname": False} if url.scheme == "rediss" else {}
    client = redis.Redis(
        host=place.ip,
        port=place.port,
        username=url.username or None,
        password=url.password,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),  # the next check is one
        **tls,  # type: ignore[arg-type]
    )
    with closing(client):
        try:
            client.ping()
        except redis.AuthenticationError:
            return  # it asks for a password: it is there


def _sql(group: Group, backend: Backend) -> None:
    if backend.address not in connections.settings:
        raise Unhealthy("DATABASES has no such alias here")
    with (
        closing(connections.create_connection(backend.address)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1")
        if cursor.fetchone() != (1,):
            raise Unhealthy("SELECT 1 is not 1")


_KINDS = {"http": _http, "tcp": _tcp, "redis": _redis, "sql": _sql}


def _write(rows: dict[str, Health]) -> None:
    known = {
        field_of(group.name, one.name)
        for group in live.balancer.current().groups.values()
        for one in group.backends
        if group.check_kind != "none"
    }

    def write(r: redis.Redis) -> None:
        stored: Any = r.hkeys(sharing.HEALTH)
        gone = [field for field in stored if field.decode() not in known]
        pipe = r.pipeline(transaction=False)
        if gone:
            pipe.hdel(sharing.HEALTH, *gone)
        for field, row in rows.items():
            pipe.hset(sharing.HEALTH, field, msgspec.json.encode(row))
        pipe.execute()

    call(write)
