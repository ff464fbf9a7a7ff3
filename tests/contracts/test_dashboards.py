"""Every dashboard asks for metrics that Tuneup really exports, in queries that Prometheus reads."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from optimizer.control import registry
from tests.contracts.test_rules import package_of
from tests.programs import program

pytestmark = pytest.mark.any_database
GRAFANA = Path(settings.BASE_DIR) / "deploy" / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))
}
MODULES = [f"{package_of(one)}.metrics" for one in registry.components()]
TARGET = {"job", "instance"}  # the labels that Prometheus gives to all it scrapes
WORDS = {"and", "or", "unless", "bool", "offset"}

# A process of its own counts each metric once, so that no other test sees what was made up.
EXPORT = """
import importlib, sys
import django
django.setup()
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase
for name in sys.argv[1:]:
    importlib.import_module(name)
for metric in set(REGISTRY._names_to_collectors.values()):
    if isinstance(metric, MetricWrapperBase) and metric._labelnames:
        metric.labels(*("x" for _ in metric._labelnames))
sys.stdout.buffer.write(generate_latest(REGISTRY))
"""


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Return the labels of every series of ours, by name."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition()):
        for sample in family.samples:
            # When a counter was made is not exported where processes share a folder.
            if sample.name.startswith("tuneup_") and not sample.name.endswith("_created"):
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def exposition() -> str:
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, *MODULES], capture_output=True, text=True, check=True
    )
    return done.stdout


def panels(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DASHBOARDS[name]["panels"]
    return found


def queries(name: str) -> Iterator[tuple[str, str, str]]:
    """Give every query of a dashboard: its panel's title, its expression, its legend."""
    for panel in panels(name):
        for target in panel["targets"]:
            # As Grafana fills them in before Prometheus sees them.
            expression = target["expr"].replace("$__rate_interval", "1m")
            expression = expression.replace("$job", ".*").replace("$instance", ".*")
            yield panel["title"], expression, target["legendFormat"]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Give every series that an expression reads, with the labels it selects by."""
    for name, within in re.findall(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}", expression):
        yield name, set(re.findall(r'(\w+)\s*[=!]~?\s*"', within))


def names(expression: str) -> set[str]:
    """Return whatever an expression names that is neither function, keyword nor label."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - WORDS


def grouped(expression: str) -> set[str]:
    """Return the labels that an expression keeps."""
    lists = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {label for one in lists for label in re.findall(r"\w+", one)}


def test_every_component_has_a_dashboard_and_none_is_left_over():
    assert set(DASHBOARDS) == {"overview", *(one.name for one in registry.components())}
    assert {one["uid"] for one in DASHBOARDS.values()} == {f"tuneup-{name}" for name in DASHBOARDS}


def test_the_files_are_what_the_descriptions_say():
    done = subprocess.run(
        [sys.executable, GRAFANA / "build.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_reads_series_and_labels_that_exist(name, exported):
    for title, expression, legend in queries(name):
        for series in names(expression):
            assert series == "up" or series in exported, f"{title}: there is no {series}"
        read = list(selectors(expression))
        assert {series for series, _ in read} == names(expression), f"{title}: not by instance"
        known = set(TARGET)
        for series, labels in read:
            own = exported.get(series, set())
            assert labels >= TARGET, f"{title}: {series} is read of all jobs and instances"
            assert labels <= own | TARGET, f"{title}: {series} has no {labels - own - TARGET}"
            known |= own
        assert grouped(expression) <= known, f"{title}: by {grouped(expression) - known}"
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert shown == grouped(expression) - {"le"}, f"{title}: the legend says {legend!r}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_prometheus_reads_every_query(name, tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, expression, _) in enumerate(queries(name))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_can_be_read_by_who_sees_it_first(name):
    dashboard = DASHBOARDS[name]
    assert dashboard["schemaVersion"] >= 39
    assert [one["name"] for one in dashboard["templating"]["list"]] == [
        "datasource",
        "job",
        "instance",
    ]
    titles = [panel["title"] for panel in panels(name)]
    assert len(set(titles)) == len(titles)
    taken: set[tuple[int, int]] = set()
    for panel in panels(name):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for link in panel.get("links", []):
            assert re.findall(r"^/d/tuneup-(\w+)\?", link["url"])[0] in DASHBOARDS
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_metric_is_on_a_dashboard(exported):
    read = (names(expression) for name in DASHBOARDS for _, expression, _ in queries(name))
    shown = {family(series) for one in read for series in one}
    assert {family(series) for series in exported} - shown == set()


def family(series: str) -> str:
    """Return the metric that a series belongs to."""
    return re.sub(r"_(bucket|sum|count)$", "", series)


def test_no_label_of_ours_is_one_of_prometheus(exported):
    """What is scraped with a label job or instance becomes exported_job, which nobody looks for."""
    assert {series: labels & TARGET for series, labels in exported.items() if labels & TARGET} == {}


def test_all_metrics_keep_prometheus_rules():
    ours = "".join(
        f"{line}\n"
        for line in exposition().splitlines()
        if "tuneup_" in line and "_created" not in line
    )
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=ours, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
