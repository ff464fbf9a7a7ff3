"""How often the detector is right: `python -m tests.queries.score [--corpus unseen] [--verbose]`.

Every case is run once, its fixed twin once; what is found is held against the labels. `seen` is the
corpus that the detector was written with, `unseen` the one that others wrote.
"""

import argparse
import sys
from dataclasses import dataclass

from tests.queries.place import DATABASES, place

CORPORA = ("all", "seen", "unseen")


@dataclass(frozen=True)
class Figure:
    """A figure that was asked for, and what came out."""

    name: str
    found: float
    bound: float
    is_least: bool = True

    @property
    def met(self) -> bool:
        return self.found >= self.bound if self.is_least else self.found <= self.bound

    def __str__(self) -> str:
        sign, verdict = (">=" if self.is_least else "<="), ("met" if self.met else "MISSED")
        return f"  {self.name:<22} {self.found:8.3f}   asked {sign} {self.bound:g}, {verdict}"


def figures(results):
    """Return the figures over the N+1 cases: line and fix of those that were found."""
    from tests.queries.harness import score

    of_all = score(results)
    found = of_all.true or 1
    return [
        Figure("precision", of_all.precision, 0.98),
        Figure("recall", of_all.recall, 0.98),
        Figure("line right", of_all.lines / found, 0.98),
        Figure("exact fix right", of_all.fixes / found, 0.95),
        Figure("wrong relations", len(of_all.wrong), 0, is_least=False),
        Figure("crashes", len(of_all.crashes), 0, is_least=False),
    ]


def faults(results):
    """Yield, case by case, what is not as labelled."""
    for one in results:
        case = one.case
        if one.crash:
            yield f"{case.name}: crashed: {one.crash}"
        for text in one.false:
            yield f"{case.name}: false alarm: {text}"
        for text in one.noise:
            yield f"{case.name}: other alarm: {text}"
        if case.healthy:
            continue
        what = [] if one.found else ["missed"]
        if one.found and not one.line:
            what.append(f"wrong line, right is {' or '.join(case.lines)}")
        if one.found and not one.fix:
            what.append("wrong fix")
        if one.wrong:
            what.append(f"wrong relation {sorted(one.wrong)}")
        if what:
            yield f"{case.name}: {'; '.join(what)}"


def corpus(name):
    """Return the cases of a corpus."""
    from tests.queries.corpus import load

    cases = load()
    if name == "all":
        return cases
    return [one for one in cases if one.name.startswith("unseen_") is (name == "unseen")]


def said_of(case):
    """Yield what the detector says of a case, as text."""
    from optimizer.queries import watch
    from tests.queries.harness import watched

    for finding in watched(case, case.run, watch):
        yield f"{finding.kind} x{finding.count} at {finding.location}: {finding.suggestion}"


def main() -> int:
    """Print the figures, and what is not right; return 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--corpus", choices=CORPORA, default="all")
    parser.add_argument("--verbose", action="store_true", help="tell what was said of each fault")
    options = parser.parse_args()
    with place(options.database):
        from optimizer.queries import watch
        from tests.queries.case import DUPLICATE, UNUSED
        from tests.queries.harness import examine, score, table

        results = [examine(case, watch) for case in corpus(options.corpus)]
        print(table({options.corpus: results}))
        asked = figures(results)
        print("\n".join(map(str, asked)))
        others = score(results, {DUPLICATE, UNUSED})
        print(f"  duplicates and unused loads: {others.true} of {others.positives} found")
        print(f"  healthy cases with another alarm: {others.noise}")
        by_name = {one.case.name: one.case for one in results}
        told = set()
        for text in faults(results):
            print(f"\n- {text}")
            name = text.partition(":")[0]
            if options.verbose and name not in told and not by_name[name].healthy:
                told.add(name)
                print("\n".join(f"    said: {one}" for one in said_of(by_name[name])))
    return 0 if all(one.met for one in asked) else 1


if __name__ == "__main__":
    sys.exit(main())
