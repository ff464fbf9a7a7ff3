"""The private parts of libraries that the pools build on are as they were."""

import inspect

import httpcore
import httpx
import psycopg_pool.pool
import pytest
from psycopg_pool import ConnectionPool
from redis import ConnectionPool as RedisPool
from redis.observability import recorder

pytestmark = pytest.mark.any_database

PARTS = (
    "_add_connection", "_add_to_pool", "_check_open_getconn", "_check_pool_putconn",
    "_close_connection", "_connect", "_getconn_unchecked", "_maybe_grow_pool",
    "_reset_connection", "_return_connection", "run_task",
)  # fmt: skip


def test_psycopg_pool_has_what_is_overridden_and_called():
    assert [name for name in PARTS if not hasattr(ConnectionPool, name)] == []
    given = inspect.signature(psycopg_pool.pool.AddConnection.__init__).parameters
    assert list(given) == ["self", "pool", "attempt", "growing"]
    pool = ConnectionPool(open=False, min_size=0, max_size=1)
    state = ("_closed", "_drained_at", "_growing", "_lock", "_max_size", "_min_size", "_nconns",
             "_opened", "_pool", "_waiting")  # fmt: skip
    assert [name for name in state if not hasattr(pool, name)] == []


def test_redis_py_has_the_lists_of_its_connections():
    pool = RedisPool()
    assert pool._available_connections == [] and pool._in_use_connections == set()
    assert recorder._metrics_collector is None


def test_redis_pys_parser_has_hiredis_reader(redis):
    connection = redis.connection_pool.get_connection()
    try:
        assert connection._sock.fileno() > 0 and not connection._parser._reader.has_data()
    finally:
        redis.connection_pool.release(connection)


def test_httpx_has_the_pool_of_httpcore():
    with httpx.HTTPTransport() as transport:
        assert transport._pool._ssl_context is not None
        assert isinstance(transport._pool._network_backend, httpcore.SyncBackend)
