"""The load balancer: picks, keys, a troubled group in simulation, and real HTTP against HAProxy.

Run `python -m benchmarks.balancer [--json FILE]`; some two minutes. It starts Redis, six HTTP
servers and HAProxy (Debian's package). The peers take their turns in the same run.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from statistics import median

import msgspec
import uhashring

from benchmarks.place import told_by
from benchmarks.table import Row, arguments, nanoseconds_per_call, show, verdict
from optimizer.balancer.engine.call import Call
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.settings import Backend
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.balancer.engine.simulation import Model, Outcome, exponential, simulate
from optimizer.balancer.engine.strategies import STRATEGIES
from optimizer.balancer.engine.strategies.maglev import build_table

BACKENDS = tuple(Backend(f"b{n}", f"10.0.0.{n}:80") for n in range(10))
SETTINGS = Settings("g", backends=BACKENDS, timeout_seconds=1.0)
KEYS = 100_000
SETS = 5
SEEDS = (1, 2, 3, 4, 5)
CALLS_PER_SECOND = 2400  # 60 % of ten backends with four servers of 10 ms
BEFORE = {"p2c_ewma": ("<=", 4.0), "maglev": ("<=", 1.3)}


def group_of(strategy: str, settings: Settings = SETTINGS) -> Group:
    """Return a group at work on the real clock."""
    wanted = msgspec.structs.replace(settings, strategy=strategy)
    return Group(wanted, clock=time.monotonic, random=random.random)


def picks() -> list[Row]:
    """Time one pick of each strategy, and a whole call, against `random.choice`."""
    names, key = [one.address for one in BACKENDS], b"user:12345"
    ring = uhashring.HashRing(names)
    calls: dict[str, Callable[[], object]] = {
        "random.choice": lambda: random.choice(names),  # noqa: S311
        "uhashring": lambda: ring.get_node("user:12345"),
    }

    def add(name: str, strategy: str) -> None:
        group = group_of(strategy)
        chosen = STRATEGIES[strategy](list(group.endpoints.values()), SETTINGS, random.random)
        calls[name] = lambda: chosen.pick(key)

    for strategy in STRATEGIES:
        add(f"  tuneup, {strategy}", strategy)
    whole = group_of("p2c_ewma")

    def call() -> None:
        with Call(whole, b""):
            pass

    calls["  tuneup, p2c_ewma: a whole call, counted and timed"] = call
    times = nanoseconds_per_call(calls, seconds=0.5)
    base = times["random.choice"]
    rows = []
    for name, took in times.items():
        sign, bound = BEFORE.get(name.rpartition(" ")[2], ("", 0.0))
        target = verdict(took / base, sign, bound) if sign else ""
        rows.append(
            Row(f"one pick: {name}" if name[0] != " " else name, took, "ns", took / base, target)
        )
    return rows


def keys() -> list[Row]:
    """Measure how evenly keys are spread, and what moves when a backend leaves."""
    rows = []
    for name, owners in (("uhashring", _uhashring), *((one, _tuneup(one)) for one in
                         ("maglev", "rendezvous", "ring_hash"))):  # fmt: skip
        uneven, needless = [], []
        for at in range(SETS):
            some = [f"{at}:user:{n}" for n in range(KEYS)]
            before, after = owners(BACKENDS)(some), owners(BACKENDS[:3] + BACKENDS[4:])(some)
            counts = Counter(before)
            uneven.append(max(counts.values()) / (KEYS / len(BACKENDS)))
            gone = BACKENDS[3].address
            moved = sum(a != b for a, b in zip(before, after, strict=True) if a != gone)
            needless.append(1e6 * moved / KEYS)
        ours = name == "maglev"
        rows += [
            Row(f"100k keys: {name}, largest share over the mean", 100 * median(uneven), "%", None,
                verdict(100 * median(uneven), "<=", 102, "%") if ours else ""),
            Row("  needless moves when one of ten leaves", median(needless), "ppm", None,
                verdict(median(needless), "<=", 2000, "ppm") if ours else ""),
        ]  # fmt: skip
    started = time.perf_counter()
    build_table([one.address for one in BACKENDS], [1.0] * 10, 65_537)
    rows.append(
        Row(
            "building a Maglev table, in the background",
            1000 * (time.perf_counter() - started),
            "ms",
        )
    )
    for name in ("maglev", "bounded_load"):
        found = _zipf(name)
        target = verdict(found, "<=", 125, "%") if name == "bounded_load" else ""
        rows.append(Row(f"Zipf(1.1) keys, 200 under way: {name}", found, "%", None, target))
    return rows


Owners = Callable[[Sequence[Backend]], Callable[[Sequence[str]], list[str]]]


def _uhashring(backends: Sequence[Backend]) -> Callable[[Sequence[str]], list[str]]:
    ring = uhashring.HashRing([one.address for one in backends])
    return lambda some: [str(ring.get_node(key)) for key in some]


def _tuneup(strategy: str) -> Owners:
    def made(backends: Sequence[Backend]) -> Callable[[Sequence[str]], list[str]]:
        group = group_of(strategy, msgspec.structs.replace(SETTINGS, backends=tuple(backends)))
        chosen = STRATEGIES[strategy](list(group.endpoints.values()), SETTINGS, random.random)
        return lambda some: [chosen.pick(key.encode()).address for key in some]

    return made


def _zipf(strategy: str) -> float:
    group, chance = group_of(strategy), random.Random(3)  # noqa: S311
    weights = [1 / rank**1.1 for rank in range(1, 10_001)]
    under_way: deque = deque()
    for at in chance.choices(range(10_000), weights, k=KEYS):
        under_way.append(group.begin(b"user:%d" % at))
        if len(under_way) > 200:
            group.done(under_way.popleft(), 0.01, failed=False)
    counts = [one.picks for one in group.endpoints.values()]
    return 100 * max(counts) / (sum(counts) / len(counts))


def trouble() -> list[Row]:
    """Simulate ten backends, one ten times slower and one that fails at once, at 60 % load."""
    healthy = [Model(one.name, 4, exponential(0.01)) for one in BACKENDS]
    troubled = [
        Model("b0", 4, exponential(0.1)),
        Model("b1", 4, exponential(0.001), failing=1.0),
        *healthy[2:],
    ]
    rows = []
    for strategy in ("round_robin", "least_connections", "p2c", "p2c_ewma"):
        well = [_run(healthy, strategy, seed) for seed in SEEDS]
        ill = [_run(troubled, strategy, seed) for seed in SEEDS]
        usual = median(one.p99_seconds for one in well)
        p99 = median(one.p99_seconds for one in ill)
        errors = 1e6 * median(one.error_ratio for one in ill)
        slow = 100 * median(one.shares["b0"] for one in ill)
        uneven = 100 * median(_unevenness(one) for one in ill)
        ours = strategy == "p2c_ewma"

        def target(found: float, bound: float, unit: str, ours: bool = ours) -> str:
            return verdict(found, "<=", bound, unit) if ours else ""

        rows += [
            Row(f"simulation, {strategy}: p99, healthy", 1000 * usual, "ms", 1.0),
            Row("  p99, one slow and one failing", 1000 * p99, "ms", p99 / usual,
                target(p99 / usual, 1.05, "x")),
            Row("  errors", errors, "ppm", None, target(errors, 500, "ppm")),
            Row("  to the slow one", slow, "%", None, target(slow, 0.5, "%")),
            Row("  healthy ones, largest over the mean", uneven, "%", None,
                target(uneven, 105, "%")),
        ]  # fmt: skip
    return rows


def _run(models: Sequence[Model], strategy: str, seed: int) -> Outcome:
    return simulate(
        SETTINGS,
        models,
        strategy=strategy,
        calls_per_second=CALLS_PER_SECOND,
        seconds=60.0,
        seed=seed,
    )


def _unevenness(outcome: Outcome) -> float:
    served = [share for name, share in outcome.shares.items() if name not in ("b0", "b1")]
    return max(served) * len(served) / sum(served)


def http() -> list[Row]:
    """Call six servers through HAProxy, and by the balancer in process, in turns."""
    told = told_by("balancer_http", timeout_seconds=200)
    peer, ours = told["haproxy"], told["tuneup"]
    ratio = ours["p99_seconds"] / peer["p99_seconds"]
    rows = []
    for name, title in (
        ("haproxy_roundrobin", "real HTTP: HAProxy roundrobin, p99"),
        ("haproxy", "real HTTP: HAProxy leastconn, observe layer7, p99"),
        ("tuneup", "  tuneup, p2c_ewma in process, p99"),
    ):
        found = told[name]
        is_ours = name == "tuneup"
        times = found["p99_seconds"] / peer["p99_seconds"]
        target = verdict(ratio, "<=", 1.0) if is_ours else ""
        errors = 1e6 * found["errors"] / found["calls"]
        rows += [
            Row(title, 1000 * found["p99_seconds"], "ms", times, target),
            Row("  errors", errors, "ppm", None,
                verdict(errors, "<=", 3000, "ppm") if is_ours else ""),
            Row("  calls", found["calls"] / found["seconds"], "/s"),
            Row("  to the slow one", 100 * found["slow"] / found["calls"], "%"),
        ]  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    asked = arguments(__doc__ or "")
    show("Load balancer", [*picks(), *keys(), *trouble(), *http()], asked.json)


if __name__ == "__main__":
    main()
