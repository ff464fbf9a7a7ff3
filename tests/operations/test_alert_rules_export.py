"""The rules as Prometheus has them: real promtool checks them, and runs them over series."""

import re
import subprocess

import pytest
import yaml
from django.core.management import CommandError, call_command
from prometheus_client import REGISTRY

from optimizer.control import registry
from optimizer.operations.models import AlertRule
from optimizer.operations.services import seeds
from tests.programs import program

pytestmark = [pytest.mark.django_db, pytest.mark.any_python]


def promtool(*arguments):
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode()


def export(folder):
    path = folder / "rules.yml"
    call_command("export_alert_rules", output=str(path), verbosity=0)
    return path


def test_promtool_accepts_a_rule_for_every_figure(tmp_path):
    for number, figure in enumerate(registry.figures()):
        AlertRule(
            name=f'On "{number}" \\ {{ü}}', figure=figure, threshold=0.5, for_minutes=number,
            comparison="above" if number % 2 else "below",
            clear_threshold=None if number % 3 else (0.25 if number % 2 else 0.75),
        ).save()  # fmt: skip
    path = export(tmp_path)
    code, says = promtool("check", "rules", path)
    assert code == 0, says
    assert f"{len(registry.figures())} rules found" in says


def test_what_is_off_is_left_out_and_nothing_at_all_is_fine(tmp_path):
    AlertRule(name="a", figure="batches.dead_letters", enabled=False).save()
    path = export(tmp_path)
    assert yaml.safe_load(path.read_text()) == {"groups": []}
    assert promtool("check", "rules", path)[0] == 0


def test_every_expression_asks_for_metrics_that_are_exported():
    exported = set()
    for metric in REGISTRY.collect():
        exported |= {metric.name, f"{metric.name}_total", f"{metric.name}_bucket"}
    for name, (_, figure) in registry.figures().items():
        asked = set(re.findall(r"tuneup_\w+", figure.promql))
        assert asked and asked <= exported, name


CASES = {
    "rule_files": ["rules.yml"],
    "evaluation_interval": "1m",
    "tests": [
        {
            "interval": "1m",
            "input_series": [
                # Above 900 for 8 minutes, then between the thresholds, then below the second.
                {
                    "series": 'tuneup_batches_oldest_item_seconds{pid="1"}',
                    "values": "100 950x8 500x5 200x5",
                },
                {"series": "tuneup_operations_failing_checks", "values": "1x2 0x20"},
            ],
            "alert_rule_test": [
                {"eval_time": "5m", "alertname": "Items wait long", "exp_alerts": []},
                *(
                    {
                        "eval_time": at,
                        "alertname": "Items wait long",
                        "exp_alerts": [
                            {
                                "exp_labels": {
                                    "severity": "warning",
                                    "figure": "batches.oldest_item_seconds",
                                },
                                "exp_annotations": {
                                    "summary": f"Age of the oldest item above 15 min for 5 min: "
                                    f"{value}"
                                },
                            }
                        ],
                    }
                    for at, value in (("7m", "950"), ("12m", "500"))
                ),
                {"eval_time": "17m", "alertname": "Items wait long", "exp_alerts": []},
                {"eval_time": "10m", "alertname": "Something is away", "exp_alerts": []},
            ],
            "promql_expr_test": [],
        }
    ],
}


def test_prometheus_fires_and_clears_as_we_do(tmp_path):
    seeds.seed()
    export(tmp_path)
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(CASES))
    code, says = promtool("test", "rules", tmp_path / "cases.yml")
    assert code == 0, says


FIGURES = (
    # figure, series (counted each 15 s), the value after some minutes
    ("caching.hit_percent", {'tuneup_caching_requests_total{outcome="l1_hits"}': "0+75x40",
                             'tuneup_caching_requests_total{outcome="misses"}': "0+25x40"}, 75),
    ("caching.hit_percent", {'tuneup_caching_requests_total{outcome="l1_hits"}': "0+75x40"}, 100),
    ("ratelimit.denied_percent",
     {'tuneup_ratelimit_decisions_total{outcome="allowed"}': "0+15x40",
      'tuneup_ratelimit_decisions_total{outcome="denied",tier="a"}': "0+5x40"}, 25),
    ("operations.server_error_percent",
     {'tuneup_http_requests_total{route="a",status="200"}': "0+60x40",
      'tuneup_http_requests_total{route="a",status="503"}': "0+20x40",
      'tuneup_http_requests_total{route="health",status="503"}': "0+900x40"}, 25),
    ("operations.requests_per_second",
     {'tuneup_http_requests_total{route="a",status="200"}': "0+30x40",
      'tuneup_http_requests_total{route="metrics",status="200"}': "0+90x40"}, 2),
    ("operations.request_p95_seconds",
     {'tuneup_http_request_duration_seconds_bucket{route="a",le="0.1"}': "0+90x40",
      'tuneup_http_request_duration_seconds_bucket{route="a",le="0.5"}': "0+100x40",
      'tuneup_http_request_duration_seconds_bucket{route="a",le="+Inf"}': "0+100x40"}, 0.3),
    ("batches.items_per_second",
     {'tuneup_batches_items_total{outcome="done",job="a"}': "0+150x40",
      'tuneup_batches_items_total{outcome="failed",job="a"}': "0+150x40"}, 10),
    ("queries.units_per_second", {'tuneup_queries_units_total{kind="a"}': "0+15x40"}, 1),
)  # fmt: skip


def test_the_expressions_say_the_same_as_the_figures(tmp_path):
    from optimizer.operations.engine.quantile import quantile_of

    assert quantile_of({0.1: 90, 0.5: 100, float("inf"): 100}, 0.95) == pytest.approx(0.3)
    tests = [
        {
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f"round({registry.figures()[figure][1].promql}, 0.001)",
                    "eval_time": "5m",
                    "exp_samples": [{"labels": "{}", "value": value}],
                }
            ],
        }
        for figure, series, value in FIGURES
    ]
    path = tmp_path / "cases.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": tests}))
    code, says = promtool("test", "rules", path)
    assert code == 0, says


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        call_command("export_alert_rules", output=str(tmp_path / "nowhere" / "rules.yml"))
