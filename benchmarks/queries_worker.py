"""One contender in a process of its own: `python -m benchmarks.queries_worker NAME` prints JSON."""

import gc
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from django.conf import settings

from benchmarks.queries_contenders import CONTENDERS, Contender, leave
from benchmarks.queries_pages import filled
from tests.queries.place import place

PAGES = {
    "5 clean queries": ("/clean/5/", 5),
    "50 clean queries": ("/clean/50/", 50),
    "500 clean queries": ("/clean/500/", 500),
    "an N+1 loop of 50": ("/loop/", 51),
}
MOST_SECONDS, MOST_PAIRS = 1.8, 200  # of a page
LONG_SECONDS = 5  # of the page with 500 queries


def quality(contender: Contender) -> dict[str, Any]:
    """Judge it on both corpora."""
    from tests.queries.harness import examine, score
    from tests.queries.score import corpus

    told = {}
    for name in ("seen", "unseen"):
        results = [examine(case, contender.watch) for case in corpus(name)]
        of_all = score(results)
        found = of_all.true or 1
        told[name] = {
            "positives": of_all.positives,
            "found": of_all.true,
            "false": len(of_all.false),
            "precision": of_all.precision,
            "recall": of_all.recall,
            "line": of_all.lines / found,
            "fix": of_all.fixes / found,
            "wrong": len(of_all.wrong),
            "crashed": len(of_all.crashes),
        }
    return told


def overhead(contender: Contender) -> dict[str, Any]:
    """Time each page bare and watched in alternating pairs; return medians, in microseconds."""
    from django.test import Client

    told, client = {}, Client()

    def bare(path: str) -> float:
        start = time.perf_counter_ns()
        client.get(path)
        return (time.perf_counter_ns() - start) / 1000

    def watched(path: str) -> float:
        start = time.perf_counter_ns()
        with contender.watch():
            client.get(path)
        return (time.perf_counter_ns() - start) / 1000

    for name, (path, queries) in PAGES.items():
        assert client.get(path).status_code == 200
        watched(path)
        gc.collect()
        seconds = LONG_SECONDS if queries >= 500 else MOST_SECONDS
        pairs, deadline = list[tuple[float, float]](), time.monotonic() + seconds
        while len(pairs) < MOST_PAIRS and time.monotonic() < deadline:
            if len(pairs) % 2:
                after, before = watched(path), bare(path)
            else:
                before, after = bare(path), watched(path)
            pairs.append((before, after))
        told[name] = {
            "bare": statistics.median(before for before, _ in pairs),
            "ratio": statistics.median(after / before for before, after in pairs),
            "added": statistics.median(after - before for before, after in pairs) / queries,
            "pairs": len(pairs),
        }
    return told


def capture() -> dict[str, float]:
    """Time the wrapper alone, within a view; return microseconds a query."""
    from django.db import connection
    from django.http import HttpRequest, HttpResponse
    from django.test import Client
    from django.urls import clear_url_caches, path

    from benchmarks import queries_pages
    from benchmarks.queries_contenders import ours_capturing
    from optimizer.queries.services import capture as capturing

    calls, told = 2000, dict[str, float]()
    statements = [f"SELECT * FROM t WHERE a{n} = %s" for n in range(10)]  # noqa: S608
    context = {"connection": connection}

    def nothing(sql: str, params: Any, many: bool, context: Any) -> None:
        return None

    def view(request: HttpRequest) -> HttpResponse:
        wrapper = capturing.wrapper
        best = [float("inf"), float("inf")]
        for _ in range(7):
            for at, noting in enumerate((False, True)):
                start = time.perf_counter_ns()
                for number in range(calls):
                    sql = statements[number % 10]
                    if noting:
                        wrapper(nothing, sql, (number,), False, context)
                    else:
                        nothing(sql, (number,), False, context)
                best[at] = min(best[at], time.perf_counter_ns() - start)
        return HttpResponse(str((best[1] - best[0]) / calls / 1000))

    queries_pages.urlpatterns.append(path("capture/", view))
    clear_url_caches()
    capturing.install()
    client = Client()
    told["nothing watched"] = float(client.get("/capture/").content)
    with ours_capturing():
        told["captured"] = float(client.get("/capture/").content)
    with ThreadPoolExecutor(1) as pool:  # the thread's context is not the watched one
        watching, done = Event(), Event()
        pool.submit(_watch_elsewhere, watching, done)
        watching.wait()
        told["sampled out"] = float(client.get("/capture/").content)
        done.set()
    return told


def _watch_elsewhere(watching: Event, done: Event) -> None:
    from benchmarks.queries_contenders import ours_capturing

    with ours_capturing():
        watching.set()
        done.wait()


def main() -> None:
    """Measure the contender that is named, and print what came out as the last line."""
    contender = CONTENDERS[sys.argv[1]]
    told: dict[str, Any] = {}
    with place("sqlite", contender.apps, **contender.settings):
        if not contender.is_ours:
            leave()
        if contender.debugs:
            engine: Any = settings.TEMPLATES[0]
            engine["OPTIONS"]["debug"] = True
        with filled():
            told["overhead"] = overhead(contender)
            if contender.name == "tuneup, capture alone":
                told["capture"] = capture()
        if contender.judged:
            told["quality"] = quality(contender)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
