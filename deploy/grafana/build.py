#!/usr/bin/env python3
"""Writes dashboards/*.json from panels/*.yml; `--check` only says whether they are up to date.

In an expression `@` between braces stands for the chosen jobs and instances, and `[@]` for the
interval that fits the zoom.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SCHEMA_VERSION = 41  # of Grafana 12
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
WIDTHS = {"stat": 4, "timeseries": 12}
HEIGHTS = {"stat": 4, "timeseries": 8}
CHOSEN = 'job=~"$job",instance=~"$instance"'


def dashboard(name: str, described: dict[str, Any]) -> dict[str, Any]:
    """Return the document that Grafana reads."""
    return {
        "uid": f"tuneup-{name}",
        "title": f"Tuneup / {described['title']}",
        "description": described["description"],
        "tags": ["tuneup"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "title": "Tuneup",
                "tags": ["tuneup"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_source(), _variable("job", ""), _variable("instance", "job")]},
        "panels": _placed([_panel(one) for one in described["panels"]]),
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource"} | {
        "query": "prometheus",
        "refresh": 1,
    }


def _variable(label: str, within: str) -> dict[str, Any]:
    """Return a variable of all values of a label; within those chosen of another."""
    chosen = f'{{{within}=~"${within}"}}' if within else ""
    query = f"label_values(tuneup_settings_revision{chosen}, {label})"
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2,  # when the time range changes: instances come and go
        "sort": 1,
    }


def _panel(described: dict[str, Any]) -> dict[str, Any]:
    kind = described.get("type", "timeseries")
    queries = described["queries"]
    panel = {
        "type": kind,
        "title": described["title"],
        "description": described["description"],
        "datasource": DATASOURCE,
        "gridPos": {"w": described.get("width", WIDTHS[kind]), "h": HEIGHTS[kind]},
        "fieldConfig": {
            "defaults": _defaults(kind, described),
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
                    ],
                }
                for name, colour in described.get("colours", {}).items()
            ],
        },
        "options": _options(kind, several=len(queries) > 1 or "{{" in queries[0]["legend"]),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "expr": _expression(query["expr"]),
                "legendFormat": query["legend"],
                "range": kind == "timeseries",
                "instant": kind == "stat",
            }
            for number, query in enumerate(queries)
        ],
    }
    if to := described.get("dashboard"):
        url = f"/d/tuneup-{to}?${{__url_time_range}}&${{__all_variables}}"
        panel["links"] = [{"title": f"More of {to}", "url": url}]
    return panel


def _defaults(kind: str, described: dict[str, Any]) -> dict[str, Any]:
    thresholds = described.get("thresholds", {})
    steps = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in thresholds.items()]
    found: dict[str, Any] = {
        "unit": described["unit"],
        "min": described.get("min", 0),
        "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if "max" in described:
        found["max"] = described["max"]
    if kind == "timeseries":
        found["custom"] = {
            "lineWidth": 2,
            "fillOpacity": 25 if described.get("stacked") else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if described.get("stacked") else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
        }
    return found


def _options(kind: str, *, several: bool) -> dict[str, Any]:
    if kind == "stat":
        return {
            "colorMode": "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"]},
        }
    return {
        "legend": {
            "displayMode": "table" if several else "list",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"] if several else [],
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _expression(text: str) -> str:
    return text.replace("[@]", "[$__rate_interval]").replace("@", CHOSEN)


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each panel its number and its place, row after row."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        place = panel["gridPos"]
        if x + place["w"] > COLUMNS or place["h"] != height and x:
            x, y = 0, y + height
        panel["id"], height = number, place["h"]
        place["x"], place["y"] = x, y
        x += place["w"]
    return panels


def documents() -> dict[Path, str]:
    """Return each dashboard's file with its text."""
    found = {}
    for path in sorted((HERE / "panels").glob("*.yml")):
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
        text = json.dumps(dashboard(path.stem, described), indent=2, ensure_ascii=False) + "\n"
        found[HERE / "dashboards" / f"{path.stem}.json"] = text
    return found


def main() -> None:
    wanted = documents()
    there = {path: path.read_text("utf-8") for path in (HERE / "dashboards").glob("*.json")}
    if "--check" in sys.argv:
        wrong = [path.name for path in wanted | there if wanted.get(path) != there.get(path)]
        if wrong:
            sys.exit(f"{', '.join(wrong)}: not what panels/*.yml say; run {Path(__file__).name}")
        return
    for path in there.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
