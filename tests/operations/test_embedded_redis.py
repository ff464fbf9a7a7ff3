import socket
import stat
from pathlib import Path

import pytest

from optimizer.operations import embedded_redis


def make_server(folder: Path, name: str, says: str) -> None:
    server = folder / name
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(0o755)


def test_a_server_before_version_7_is_passed_over(tmp_path, monkeypatch):
    make_server(tmp_path, "redis-server", "Redis server v=6.2.14 sha=00000000:0 bits=64")
    make_server(tmp_path, "valkey-server", "Valkey server v=8.1.8 sha=00000000:0 bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert embedded_redis.find_server() == tmp_path / "valkey-server"


def test_without_one_on_the_path_the_wheel_gives_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded_redis.find_server() == embedded_redis.wheel_server()


def test_with_no_usable_server_the_error_names_those_refused(tmp_path, monkeypatch):
    make_server(tmp_path, "redis-server", "Redis server v=6.2.14 sha=00000000:0 bits=64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(embedded_redis, "wheel_server", lambda: None)
    with pytest.raises(embedded_redis.NoServer, match=r"7\.0 or later.*redis-server \(6\.2\)"):
        embedded_redis.find_server()


def test_port_and_password_are_kept_between_runs(tmp_path):
    first = embedded_redis.configure(tmp_path, Path("/bin/false"))
    second = embedded_redis.configure(tmp_path, Path("/bin/false"))
    assert second.url == first.url
    assert (tmp_path / "url").read_text() == first.url


def test_a_port_taken_since_is_replaced_and_the_password_kept(tmp_path):
    first = embedded_redis.configure(tmp_path, Path("/bin/false"))
    with socket.create_server(("127.0.0.1", first.port)):
        second = embedded_redis.configure(tmp_path, Path("/bin/false"))
    assert second.port != first.port
    assert second.password == first.password


def test_only_the_owner_reads_the_password(tmp_path):
    redis = embedded_redis.configure(tmp_path / "redis", Path("/bin/false"))
    for path in (redis.configuration, tmp_path / "redis" / "url"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_worker_has_a_database_of_its_own(redis):
    redis.set("key", "value")
    assert redis.dbsize() == 1
