"""HTTP: a decision on a hot key against an empty Django view, on the same server."""

import json

from benchmarks.serving import load, server
from benchmarks.table import Row

ROUNDS = 3
TOKEN = "tu_benchmrk_" + "b" * 43  # noqa: S105  (of a server that lives for seconds)


def http_rows() -> list[Row]:
    """Return requests a second of the empty view, of a check, and of sixteen in a call."""
    from benchmarks.ratelimit import ALLOWED, set_tier
    from optimizer.control import keys

    set_tier(**ALLOWED, local=True)
    keys.issue(name="benchmark", scopes=["ratelimit"], token=TOKEN)
    one = json.dumps({"subject": "http", "cost": 1})
    many = json.dumps({"charges": [{"subject": f"http{n}", "cost": 1} for n in range(16)]})
    best = dict.fromkeys(("empty", "check", "django", "many"), 0.0)
    with server("benchmarks.empty_view:application") as empty, server() as served:
        for _ in range(ROUNDS):
            for name, port, path, body in (
                ("empty", empty, "/", ""),
                ("check", served, "/internal/v1/ratelimit/check", one),
                # A query is nothing that the bare path takes: this one is Django's.
                ("django", served, "/internal/v1/ratelimit/check?django", one),
                ("many", served, "/internal/v1/ratelimit/check-many", many),
            ):
                best[name] = max(best[name], load(port, path, TOKEN, body))
    return [
        Row("HTTP: empty Django view", best["empty"], "/s", 1.0),
        Row(
            "HTTP: check on a hot key",
            best["check"],
            "/s",
            best["check"] / best["empty"],
            "at least 0.8 x",
        ),
        Row(
            "HTTP: decisions, 16 in a call",
            best["many"] * 16,
            "/s",
            best["many"] * 16 / best["check"],
            "at least 10 x",
        ),
        Row("HTTP: check through Django's handler", best["django"], "/s"),
        Row(
            "HTTP: decisions, 16 in a call, to those",
            best["many"] * 16,
            "/s",
            best["many"] * 16 / best["django"],
        ),
    ]
