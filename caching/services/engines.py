"""The cache engines of this process: one for each second tier, shared by all that use it."""

import os
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import redis
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from caching.engine.copies import Settings
from caching.engine.envelope import Sealer
from caching.engine.loading import Loading
from caching.engine.remote import SCRIPTS, Away, Remote
from caching.engine.tiered import Tiered
from caching.live import caching
from caching.services.backplane import Backplane
from optimizer.control import ticker
from optimizer.control.link import Link, RedisAway
from optimizer.control.scripts import Script

BACKEND = "caching.backends.TieredCache"
# django-redis's options that the short way to Redis knows nothing of.
_LONG_WAY = frozenset({"CLIENT_CLASS", "CONNECTION_FACTORY", "PASSWORD", "CONNECTION_POOL_CLASS"})


class Engine:
    """Both tiers over the django-redis cache that has this alias."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        given = _caches().get(alias)
        if given is None or not str(given.get("BACKEND", "")).startswith("django_redis."):
            raise ImproperlyConfigured(
                f"LOCATION of a {BACKEND} must be the alias of a django-redis cache in CACHES, "
                f"not {alias!r}."
            )
        self.link = Link(self._url, self._client)
        # Channels know no database numbers: what another one's cache tells is not for this one.
        number = self._client().connection_pool.connection_kwargs.get("db") or 0
        root = f"{given.get('KEY_PREFIX') or 'tuneup'}{f':{number}' if number else ''}:tiered"
        self.remote = Remote(
            root,
            _guarded(self.link.execute),
            {one: _guarded(Script(_lua(one), self.link).run) for one in SCRIPTS},
        )
        self.cache = Tiered(self.remote, Sealer(_secrets()))
        self.loading = Loading(self.cache, in_background)
        self.backplane = Backplane(
            self.link.new_client, self.remote.channel, self.cache.line, self.turn
        )
        self._configuring = threading.Lock()
        self._obeyed: Settings | None = None

    def ready(self) -> None:
        """Obey the newest settings, and hear the news; cheap where both is so already."""
        self._obey_newest()
        if not self.backplane.alive:
            self.backplane.ensure()
            ticker.ensure()  # which tells what is counted from here on

    def _obey_newest(self) -> None:
        if caching.current() is not self._obeyed:
            with self._configuring:
                self._obey(caching.current())

    def _obey(self, settings: Settings) -> None:
        if settings is self._obeyed:
            return
        self.cache.configure(settings)
        # What serves while the database cannot be read says nothing of the namespaces.
        if caching.loaded_at is not None:
            self.cache.adopt_mapping()
        self._obeyed = settings

    def turn(self) -> None:
        """Do what is due now and then: obey new settings, tell Redis what it has missed."""
        self._obey_newest()  # not `ready`: a listener that is stopping starts no other
        if self.cache.pending.waiting and not self.link.breaker.is_open:
            self.cache.reachable()

    def stop(self) -> None:
        """End the listener and drop every copy, as in a process that has just started."""
        self.backplane.stop()
        self.forget()

    def forget(self) -> None:
        """Drop what belongs to the parent of this process, as after a fork."""
        self.backplane.forget()
        self.link.forget()
        self.link.breaker.reset()
        self.cache.forget()
        self.loading.forget()
        self._configuring = threading.Lock()
        self._obeyed = None

    def _url(self) -> str:
        given = _caches()[self.alias]
        if _LONG_WAY & given.get("OPTIONS", {}).keys():
            return "django-redis:"
        location = given["LOCATION"]
        url: str = location if isinstance(location, str) else location[0]
        return url

    def _client(self) -> redis.Redis:
        backend: Any = caches[self.alias]
        client: redis.Redis = backend.client.get_client(write=True)
        return client


_engines: dict[str, Engine] = {}
_lock = threading.Lock()


def engine_of(alias: str) -> Engine:
    """Return the engine over a second tier. Raises ImproperlyConfigured."""
    found = _engines.get(alias)
    if found is None:
        with _lock:
            found = _engines.get(alias) or Engine(alias)
            _engines[alias] = found
    return found


def known_engines() -> list[Engine]:
    """Return the engines that this process has used."""
    return list(_engines.values())


def all_engines() -> list[Engine]:
    """Return the engines of every tiered cache that the settings name."""
    places = [one["LOCATION"] for one in _caches().values() if one.get("BACKEND") == BACKEND]
    return [engine_of(alias) for alias in dict.fromkeys(places)]


def main_alias() -> str:
    """Return the alias of the tiered cache that is used where none is named.

    Raises ImproperlyConfigured where there is none.
    """
    names = [name for name, one in _caches().items() if one.get("BACKEND") == BACKEND]
    if not names:
        raise ImproperlyConfigured(f"No cache in CACHES has the backend {BACKEND}.")
    return "default" if "default" in names else names[0]


def main_engine() -> Engine:
    """Return the engine of the cache that is used where none is named."""
    return engine_of(_caches()[main_alias()]["LOCATION"])


def stop_all() -> None:
    """Let this process begin anew: no copies, no listeners."""
    for engine in _engines.values():
        engine.stop()


def in_background(job: Callable[[], None]) -> None:
    """Run a job in a thread of its own, which leaves no database connection open."""

    def run() -> None:
        try:
            job()
        finally:
            connections.close_all()

    threading.Thread(target=run, name="tuneup-cache-load", daemon=True).start()


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (RedisAway, redis.RedisError) as error:  # out of memory is no answer either
            raise Away(str(error)) from error

    return guarded


def _caches() -> dict[str, dict[str, Any]]:
    given: Any = settings.CACHES
    found: dict[str, dict[str, Any]] = given
    return found


def _secrets() -> tuple[bytes, ...]:
    return tuple(one.encode() for one in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def _lua(name: str) -> str:
    folder = files("caching.engine").joinpath("lua")
    text = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    if name == "set":  # it is on the hot path, and needs none of the common functions
        return text
    return f"{folder.joinpath('common.lua').read_text(encoding='utf-8')}\n{text}"


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for engine in _engines.values():
        engine.forget()


os.register_at_fork(after_in_child=_after_fork)
