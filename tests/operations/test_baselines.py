"""Baselines: what is measured is what a real server did; what is compared is said truly."""

import http.server
import json
import threading
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from optimizer.operations.baselines import comparing, files
from optimizer.operations.baselines.load import Endpoint, Sample, Unreachable, drive

pytestmark = pytest.mark.any_database


class Server(http.server.ThreadingHTTPServer):
    """Answers /good to who has the key, refuses each third call of /flaky, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls: dict[str, int] = {}
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            count = self.server.calls[self.path] = self.server.calls.get(self.path, 0) + 1
        good = self.headers.get("Authorization") == "Bearer k" or self.path != "/good"
        status = 200 if good and not (self.path == "/flaky" and count % 3 == 0) else 503
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server():
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_it_sends_what_it_is_told_over_kept_connections(server):
    found = drive(server.url, Endpoint("/good", True), key="k", requests=100, concurrency=3)
    assert (len(found.seconds), found.errors) == (100, 0)
    assert server.connections == 4  # three, and the one that looked whether it answers
    assert 100 < server.calls["/good"] <= 115  # some to warm up
    assert 0 < found.quantile_ms(0.5) <= found.quantile_ms(0.95) <= found.quantile_ms(0.99)
    assert found.per_second > 0


def test_refusals_are_errors_and_not_quick_answers(server):
    found = drive(server.url, Endpoint("/good", True), key="no", requests=20, concurrency=2)
    assert (found.seconds, found.errors) == ([], 20)
    found = drive(server.url, Endpoint("/flaky"), key="", requests=30, concurrency=1)
    assert len(found.seconds) + found.errors == 30
    assert found.errors in (9, 10, 11)


def test_no_server_is_said_at_once():
    with pytest.raises(Unreachable, match="does not answer"):
        drive("http://127.0.0.1:1", Endpoint("/health"), key="", requests=1, concurrency=1)


def test_quantiles_are_of_the_sorted_sample():
    sample = Sample([one / 1000 for one in (5, 1, 4, 2, 3)], 0, 2.0)
    assert [sample.quantile_ms(q) for q in (0, 0.5, 0.99)] == [1, 3, 5]
    assert (sample.mean_ms, sample.per_second) == (3, 2.5)
    sample.add(Sample([0.006], 2, 1.0))
    assert (len(sample.seconds), sample.errors, sample.per_second) == (6, 2, 2.0)
    assert Sample().quantile_ms(0.5) == Sample().mean_ms == Sample().per_second == 0


def baseline(second: int = 0, **p50: float) -> files.Baseline:
    return files.Baseline(
        made_at=datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC),
        label="",
        url="http://x",
        requests=10,
        concurrency=1,
        optimizations={"caching": True},
        endpoints={
            f"/{name}": files.Figures(ms, 2 * ms, 3 * ms, ms, 100.0, 10, 0, 4.0)
            for name, ms in p50.items()
        },
        memory_bytes={"web": 2**20},
    )


@pytest.fixture
def kept(settings, tmp_path):
    settings.METRICS_HISTORY_DIR = tmp_path
    return tmp_path / "baselines"


def test_a_baseline_is_read_as_it_was_written(kept):
    first, again, later = (files.write(baseline(at, health=1.5)) for at in (0, 0, 1))
    assert first.name == "baseline_20260102_030400.json"
    assert again.name == "baseline_20260102_030400_1.json"  # of the same second
    assert files.names() == [later.stem, again.stem, first.stem]
    assert files.read(first.stem) == files.read(str(first)) == baseline(health=1.5)
    assert files.read("latest").made_at.second == 1
    assert sorted(kept.iterdir()) == sorted([first, again, later])  # nothing half-written
    assert json.loads(first.read_text())["endpoints"]["/health"]["p50_ms"] == 1.5


@pytest.mark.parametrize("name", ["baseline_20260102_030400", "../../etc/passwd", "", "latest"])
def test_what_is_not_there_is_said(kept, name):
    with pytest.raises(files.NoBaseline):
        files.read(name)


def test_what_is_no_baseline_is_said(kept):
    file = files.write(baseline(health=1))
    for content in ("{", "[]", '{"label": 1}'):
        file.write_text(content)
        with pytest.raises(files.NoBaseline, match="is no baseline"):
            files.read(file.stem)


def test_the_table_says_what_was_better_and_what_was_worse():
    lines = {one.name: one for one in comparing.compare(baseline(a=4, b=1), baseline(a=1, b=1.2))}
    assert lines["/a"].improvement_percent == 75
    assert (lines["/a"].worse, lines["/b"].worse) == (False, True)
    assert lines["memory"].improvement_percent == 0
    lenient = comparing.compare(baseline(b=1), baseline(b=1.2), regression_percent=25)
    assert not any(one.worse for one in lenient)
    by_p99 = comparing.compare(baseline(a=4), baseline(a=1), measure="p99_ms")[0]
    assert (by_p99.before, by_p99.after) == (12, 3)


def test_an_endpoint_that_no_longer_answers_is_worse():
    dead = baseline(a=1)
    dead.endpoints["/a"] = files.Figures(0, 0, 0, 0, 0, 0, 10, None)
    lines = {one.name: one for one in comparing.compare(baseline(a=1), dead)}
    assert lines["/a"].worse
    assert lines["/a errors"].worse
    back = {one.name: one for one in comparing.compare(dead, baseline(a=1))}
    assert not back["/a"].worse


@pytest.mark.parametrize("style", list(comparing.FORMATS))
def test_the_command_prints_each_format_and_fails_on_a_regression(kept, style, capsys):
    one, two = files.write(baseline(0, health=2)), files.write(baseline(1, health=1))
    call_command("compare_baselines", one.stem, two.stem, format=style)
    said = capsys.readouterr().out
    assert "/health" in said
    assert ("+50 %" in said) or json.loads(said)[0]["improvement_percent"] == 50
    with pytest.raises(SystemExit) as ended:
        call_command("compare_baselines", two.stem, one.stem, format=style)
    assert ended.value.code == 1


def test_bad_arguments_are_named(kept):
    with pytest.raises(CommandError, match=r"nothing cannot be read"):
        call_command("compare_baselines", "nothing", "latest")
    with pytest.raises(CommandError, match=r"--requests: must be a whole number from 1 to"):
        call_command("measure_baseline", "--requests", "0")
    with pytest.raises(CommandError, match=r"--concurrency: must be a whole number from 1 to 256"):
        call_command("measure_baseline", "--concurrency", "1000")
    with pytest.raises(CommandError, match=r"--rounds: must be from 1 to 100"):
        call_command("compare_optimizations", "--rounds", "0")
