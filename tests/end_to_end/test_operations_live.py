"""Off against on, and the checks, on the running system."""

import json
import re

from playwright.sync_api import expect

from tests.end_to_end.conftest import Stack


def test_everything_verifies_on_the_running_system(stack: Stack):
    said = stack.manage("verify_optimizations")
    passed, of = map(int, re.findall(r"(\d+) of (\d+) passed", said)[0])
    assert passed == of >= 20, said


def test_optimizations_are_compared_and_left_as_they_were(stack: Stack, tmp_path):
    stack.environment["TUNEUP_METRICS_DIR"] = str(tmp_path)
    before = stack.manage("settings", "export")
    said = stack.manage(
        "compare_optimizations", "--requests", "40", "--rounds", "2", "--format", "json"
    )
    lines = {one["name"]: one for one in json.loads(said)}
    assert lines["/api/overview queries"]["after"] == 0 < lines["/api/overview queries"]["before"]
    assert lines["/api/overview"]["after"] < lines["/api/overview"]["before"]
    assert stack.manage("settings", "export") == before
    off, on = sorted((tmp_path / "baselines").iterdir())
    for file, is_on in ((off, False), (on, True)):
        told = json.loads(file.read_text())
        assert set(told["optimizations"].values()) == {is_on}
        assert told["memory_bytes"].keys() >= {"web", "worker", "beat"}
        assert all(one["errors"] == 0 for one in told["endpoints"].values())


def test_the_button_verifies(watched):
    page = watched.page
    page.goto("/admin/operations/operationssettings/verification/")
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("all passed")).to_be_visible(timeout=60_000)
