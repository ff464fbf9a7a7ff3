"""A group at work in one process: picks endpoints, counts how calls go, ejects and takes back."""

from collections import deque
from collections.abc import Callable, Collection
from math import exp
from threading import RLock

from optimizer.balancer.engine import availability, breaker, outliers
from optimizer.balancer.engine.availability import Available
from optimizer.balancer.engine.chooser import Background, Chooser, at_once
from optimizer.balancer.engine.endpoint import CLOSED, HALF_OPEN, OPEN, Endpoint
from optimizer.balancer.engine.events import Event, Unavailable
from optimizer.balancer.engine.retry_budget import RetryBudget
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.balancer.engine.strategies import Random

LAP_SECONDS = 0.1
_MOST_NEWS = 200
_LEAST_EWMA = 1e-9


class Group:
    """The endpoints of one group, and the strategy that chooses among them.

    `clock` tells seconds, `random` a number from 0 to 1; `background` runs what takes long, as the
    building of tables. Its lock is held for counting alone, never over I/O.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        random: Random,
        background: Background = at_once,
        zone: str = "",
        ejects: bool = True,
    ) -> None:
        self.clock, self._random = clock, random
        self._lock = RLock()  # a strategy may be built by who holds it
        self.chooser = Chooser(self._lock, random, background)
        self.settings, self.zone, self.ejects = settings, zone, ejects
        self.news: deque[Event] = deque(maxlen=_MOST_NEWS)
        now = clock()
        self._lap_at, self._outliers_at = now, now + settings.outlier_interval_seconds
        self.retries = RetryBudget(now)
        self.endpoints: dict[str, Endpoint] = {
            one.name: Endpoint(one, now) for one in settings.backends
        }
        self.available = Available(())
        self.refused = 0  # calls that no endpoint could take
        self._refresh(now, anew=True)

    def update(self, settings: Settings, *, ejects: bool = True) -> None:
        """Obey other settings; what is known of backends that stay is kept."""
        with self._lock:
            now, before = self.clock(), self.endpoints
            self.settings, self.ejects = settings, ejects
            found: dict[str, Endpoint] = {}
            for backend in settings.backends:
                known = before.get(backend.name)
                if known is None or known.address != backend.address:
                    found[backend.name] = Endpoint(backend, now, known=False)
                    continue
                was_offered, known.backend = known.is_offered, backend
                if known.is_offered and not was_offered:
                    known.since = now
                found[backend.name] = known
            self.endpoints = found
            if not ejects:
                for one in found.values():
                    if one.breaker != CLOSED:
                        self._close(one, now)
            self._refresh(now, anew=True)

    def begin(self, key: bytes = b"", exclude: Collection[str] = ()) -> Endpoint:
        """Pick an endpoint for a call that begins now. Raises Unavailable.

        `exclude` names backends that the call has tried already.
        """
        with self._lock:
            strategy = self.chooser.strategy
            if not exclude:
                self.retries.call()
            if strategy is None:
                raise self._refusal(self._why_none())
            endpoint = strategy.pick(key)
            if endpoint.in_flight >= endpoint.limit or endpoint.name in exclude:
                endpoint = self._another(exclude)
            endpoint.in_flight += 1
            endpoint.picks += 1
            return endpoint

    def choose(self, key: bytes = b"", exclude: Collection[str] = ()) -> Endpoint | None:
        """Pick an endpoint for a call that may begin later, by `start`; None where none can."""
        with self._lock:
            strategy = self.chooser.strategy
            endpoint = strategy.pick(key) if strategy is not None else None
            if endpoint is None or (
                endpoint.in_flight < endpoint.limit and endpoint.name not in exclude
            ):
                return endpoint
            return self._least_loaded(
                [one for one in self.available.endpoints if one.name not in exclude]
            )

    def start(self, endpoint: Endpoint) -> None:
        """Count a call that begins now on an endpoint that was chosen before."""
        with self._lock:
            endpoint.in_flight += 1
            endpoint.picks += 1

    def done(self, endpoint: Endpoint, seconds: float, *, failed: bool) -> None:
        """Count a call that has ended, after so many seconds."""
        now, settings = self.clock(), self.settings
        with self._lock:
            endpoint.in_flight -= 1
            endpoint.record(seconds, failed)
            # What fails at once must cost more than what answers slowly.
            cost = max(seconds, settings.timeout_seconds) if failed else seconds
            endpoint.observe(cost, now, settings.decay_seconds)
            if endpoint.breaker == HALF_OPEN:
                self._probed(endpoint, now, failed)
            elif failed and self._is_to_be_ejected(endpoint):
                says = f"{endpoint.consecutive} in a row"
                self._eject(endpoint, now, outliers.CONSECUTIVE, says)
            if now >= self._lap_at:
                self._lap(now)

    def drop(self, endpoint: Endpoint) -> None:
        """Count a call of which nobody knows how it went: cancelled, or never reported."""
        with self._lock:
            endpoint.in_flight -= 1
            endpoint.dropped += 1

    def lap(self) -> None:
        """Do what is due by time; a group whose calls end does it by itself."""
        now = self.clock()
        if now >= self._lap_at:
            with self._lock:
                self._lap(now)

    def may_retry(self) -> bool:
        """Take a retry from the budget, if there is one left."""
        with self._lock:
            settings = self.settings
            return self.retries.take(settings.retry_percent, settings.retries_per_second)

    def ejected_elsewhere(self, name: str, seconds: float, times: int, reason: str) -> None:
        """Take over what all processes share of an ejection: its end, and which one it is."""
        with self._lock:
            one, now = self.endpoints.get(name), self.clock()
            if one is None or not self.ejects:
                return
            fresh = one.breaker != OPEN
            if fresh and one.breaker == HALF_OPEN and seconds < 1.0:
                return  # it ends anyway
            breaker.open_until(one, now + seconds, times, reason)
            one.told = True
            if fresh:
                self._refresh(now)

    def not_agreed(self, name: str) -> None:
        """Take an ejection back that the other processes do not bear."""
        with self._lock:
            one = self.endpoints.get(name)
            if one is not None and one.breaker == OPEN:
                now = self.clock()
                breaker.close(one, now)
                self._refresh(now)

    def put_back(self, name: str) -> None:
        """End an ejection that is in force no longer, or that an admin has ended."""
        with self._lock:
            one = self.endpoints.get(name)
            if one is not None and one.breaker == OPEN and one.told:
                now = self.clock()
                self._close(one, now)
                self._refresh(now)

    def checked(self, name: str, healthy: bool | None) -> None:
        """Take over what active checks say of a backend; None where there are none."""
        with self._lock:
            one = self.endpoints.get(name)
            if one is None or one.healthy is healthy:
                return
            now, was = self.clock(), one.healthy
            one.healthy = healthy
            if healthy and was is False:
                one.since = now
            self._refresh(now)

    def lagging(self, name: str, seconds: float) -> None:
        """Take over how far a database replica lags behind."""
        with self._lock:
            one, most = self.endpoints.get(name), self.settings.max_lag_seconds
            if one is not None:
                crosses = (one.lag_seconds > most) != (seconds > most)
                one.lag_seconds = seconds
                if crosses:
                    self._refresh(self.clock())

    # --- with the lock held ----------------------------------------------------------------

    def _another(self, exclude: Collection[str]) -> Endpoint:
        """Return the least loaded endpoint with room that was not tried yet."""
        others = [one for one in self.available.endpoints if one.name not in exclude]
        if (endpoint := self._least_loaded(others)) is not None:
            return endpoint
        if others:
            says = "all its backends have as many calls under way as they may"
            raise self._refusal(says, full=True)
        raise self._refusal("no other backend is left" if exclude else self._why_none())

    @staticmethod
    def _least_loaded(endpoints: list[Endpoint]) -> Endpoint | None:
        free = [one for one in endpoints if one.in_flight < one.limit]
        return min(
            free,
            key=lambda one: (one.in_flight + 1) * (one.ewma or 1e-3) / one.weight,
            default=None,
        )

    def _refusal(self, says: str, *, full: bool = False) -> Unavailable:
        self.refused += 1
        return Unavailable(self.settings.name, says, full=full)

    def _why_none(self) -> str:
        if not self.endpoints:
            return "it has no backends"
        if not any(one.is_offered for one in self.endpoints.values()):
            return "all its backends are disabled or draining"
        return "none of its backends is healthy"

    def _is_to_be_ejected(self, endpoint: Endpoint) -> bool:
        return (
            self.ejects
            and endpoint.breaker == CLOSED
            and outliers.has_failed_in_a_row(endpoint, self.settings)
        )

    def _probed(self, endpoint: Endpoint, now: float, failed: bool) -> None:
        if failed:
            self._eject(endpoint, now, outliers.PROBE, "it failed again")
            return
        endpoint.probes += 1
        if endpoint.probes >= self.settings.probe_successes:
            self._close(endpoint, now)
            self._refresh(now)

    def _eject(self, endpoint: Endpoint, now: float, reason: str, detail: str) -> None:
        if not breaker.has_room(self.endpoints.values(), self.settings):
            if endpoint.breaker == HALF_OPEN:
                self._close(endpoint, now)
            return
        times = endpoint.times_ejected + 1
        seconds = breaker.seconds_of(times, self.settings, self._random())
        breaker.open_until(endpoint, now + seconds, times, reason)
        endpoint.told = False
        self.news.append(Event(endpoint.name, "ejected", reason, detail, seconds, times))
        self._refresh(now)

    def _close(self, endpoint: Endpoint, now: float) -> None:
        breaker.close(endpoint, now)
        self.news.append(Event(endpoint.name, "returned"))

    def _lap(self, now: float) -> None:
        settings = self.settings
        self._lap_at = now + LAP_SECONDS
        self.retries.lap(now)
        changed = False
        for one in self.endpoints.values():
            if one.ewma > _LEAST_EWMA:
                one.ewma *= exp((one.observed_at - now) / settings.decay_seconds)
                one.observed_at = now
            if one.breaker == OPEN and now >= one.ejected_until:
                breaker.half_open(one)
                changed = True
            elif one.times_ejected and one.breaker == CLOSED:
                breaker.forget(one, now, settings)
        if now >= self._outliers_at:
            self._outliers_at = now + settings.outlier_interval_seconds
            in_use = [one for one in self.available.endpoints if one.breaker == CLOSED]
            for found in outliers.compare(in_use, settings):
                if self.ejects:
                    self._eject(found.endpoint, now, found.reason, found.detail)
        if changed:
            self._refresh(now)
        else:
            self._pace(now)

    def _pace(self, now: float) -> None:
        """Let slow starts go on."""
        moved = False
        for one in self.available.endpoints:
            pace = availability.pace(one, now, self.settings)
            if pace != one.pace:
                one.pace, one.weight, moved = pace, one.backend.weight * pace, True
        if moved:
            self.chooser.reweigh()

    def _refresh(self, now: float, *, anew: bool = False) -> None:
        """Find out who takes calls now; another set of endpoints needs another strategy."""
        before = self.available
        self.available = now_available = availability.available(
            list(self.endpoints.values()), self.settings, self.zone
        )
        if now_available.panic != before.panic:
            self.news.append(Event("", "panic" if now_available.panic else "calm"))
        for one in (*before.endpoints, *self.endpoints.values()):
            one.limit = 0
        for one in now_available.endpoints:
            one.limit = availability.limit(one, now_available.panic)
            one.pace = availability.pace(one, now, self.settings)
            one.weight = one.backend.weight * one.pace
        if anew or now_available.endpoints != before.endpoints:
            self.chooser.choose(now_available.endpoints, self.settings)
        else:
            self.chooser.reweigh()
