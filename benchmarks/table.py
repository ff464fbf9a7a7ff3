"""What every benchmark shares: timing a call, the table, and `--json FILE`."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a value in its unit, and its ratio to the table's reference."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    target: str = ""


def verdict(found: float, sign: str, bound: float, unit: str = "x") -> str:
    """Return a target and whether what was found meets it; `sign` is `<=` or `>=`."""
    met = found <= bound if sign == "<=" else found >= bound
    return f"target: {sign} {bound:g} {unit}, {'met' if met else 'missed'}"


def nanoseconds_per_call(
    calls: dict[str, Callable[[], object]], *, seconds: float = 0.15, rounds: int = 7
) -> dict[str, float]:
    """Time several calls in turn, so that drift hits them alike; return each one's best round."""
    best = dict.fromkeys(calls, float("inf"))
    loops = {name: _loops(call, seconds / rounds) for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], _time(call, loops[name]) / loops[name])
    return best


def in_turn(
    ways: Mapping[str, Callable[[], object]],
    measure: Callable[[Callable[[], object]], float],
    *,
    rounds: int,
) -> dict[str, float]:
    """Measure several ways in turn; return each one's median over the rounds.

    A first round only warms up. Each way begins as many rounds as any other, where their number is
    a multiple of the ways, so that none of them has the better place.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for at in range(rounds + 1):
        for name in order:
            took = measure(ways[name])
            if at:
                found[name].append(took)
        order.append(order.pop(0))
    return {name: statistics.median(values) for name, values in found.items()}


def _loops(call: Callable[[], object], seconds: float) -> int:
    call()  # the first one may load something
    count = 1
    while (took := _time(call, count)) < seconds * 1e9 / 4:
        count *= 2
    return max(1, int(count * seconds * 1e9 / took))


def _time(call: Callable[[], object], loops: int) -> float:
    steps = range(loops)
    start = time.perf_counter_ns()
    for _ in steps:
        call()
    return time.perf_counter_ns() - start


def arguments(description: str) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    return parser.parse_args()


def show(title: str, rows: Sequence[Row], json_file: Path | None) -> None:
    """Print the table, and write it as JSON where asked."""
    print(f"\n{title}  (Python {platform.python_version()}, {platform.machine()})\n")
    width = max(len(row.name) for row in rows)
    for row in rows:
        ratio = f"{row.ratio:8.2f} x" if row.ratio is not None else " " * 10
        print(f"  {row.name:<{width}}  {row.value:12,.1f} {row.unit:<4} {ratio}  {row.target}")
    if json_file is not None:
        document = {"title": title, "rows": [asdict(row) for row in rows]}
        json_file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
