"""What a review recommends of the pools: their sizes, and connections that nobody gives back."""

from optimizer.control.recommendations import Bar, Button, Place, Recommendation
from optimizer.control.redis import RedisAway
from optimizer.pools.selectors.advice import advice_of
from optimizer.pools.selectors.overview import Pool, every


def recommend() -> list[Recommendation]:
    """Return what is worth doing. Raises RedisAway: one process is not the whole."""
    pools, redis_away = every(ask_servers=True)
    if redis_away:
        raise RedisAway("the other processes cannot be seen")
    return [
        one for pool in pools if pool.row_id is not None for one in (*_size(pool), *_leaks(pool))
    ]


def _size(pool: Pool) -> list[Recommendation]:
    advice, now, totals = advice_of(pool), pool.limits.max_size, pool.totals
    is_too_many = pool.server is not None and pool.most > pool.server.room
    if advice.suggested == now or not advice.little:
        return []
    if advice.suggested < now and not is_too_many:
        return []  # idle connections are closed anyway, and one quiet minute is not the week
    most = max(advice.suggested, now)
    waited = f"{totals.queued:,} of {totals.acquired:,} check-outs had to wait"
    vain = f", {totals.timeouts:,} in vain" if totals.timeouts else ""
    return [
        Recommendation(
            f"size:{pool.alias}",
            f"{'Raise' if advice.suggested > now else 'Lower'} max_size of {pool.alias} from {now} "
            f"to {advice.suggested}",
            f"{waited}{vain}. By {advice.because}.",
            _place(pool),
            Button(
                "Take the suggested size",
                Place("admin:pools_pooledconnection_act", (pool.alias,)),
                {"action": "apply"},
            ),
            (
                Bar(f"now {now}", 100 * now / most, "now"),
                Bar(f"suggested {advice.suggested}", 100 * advice.suggested / most, "advised"),
            ),
        )
    ]


def _leaks(pool: Pool) -> list[Recommendation]:
    if not pool.totals.leaked:
        return []
    return [
        Recommendation(
            f"leaks:{pool.alias}",
            f"Connections of {pool.alias} are held for too long",
            f"{pool.totals.leaked:,} were held past the threshold; the page shows their stacks.",
            _place(pool),
        )
    ]


def _place(pool: Pool) -> Place:
    return Place("admin:pools_pooledconnection_status", (pool.alias,))
