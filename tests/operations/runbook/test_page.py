"""Nothing on the page goes untested; what only a host can run is held to the files in deploy/."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.operations.runbook.book import PAGE, is_of_hosts, sections

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
DEPLOY = Path(settings.BASE_DIR, "deploy")
UNITS = {path.name for path in (DEPLOY / "systemd").iterdir() if path.is_file()}
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
COMPOSE = "docker compose --file deploy/compose.yaml --env-file deploy/compose.env "
# The verbs of compose that the page uses, with their options; what else stands there is a service.
VERBS = {
    "up": {"--detach"},
    "ps": set(),
    "stop": set(),
    "build": set(),
    "logs": {"--since", "1h"},
}
PLACES = {"systemctl", "journalctl", "docker"}


def host_lines() -> Iterator[str]:
    for blocks in sections().values():
        for block in filter(is_of_hosts, blocks):
            yield from block.splitlines()


def test_each_section_with_commands_has_a_test():
    here = Path(__file__).parent
    files = [*here.glob("*.py"), *here.parent.glob("test_runbook*.py")]
    tested = "".join(path.read_text() for path in files)
    titles = [
        title for title, blocks in sections().items() if any(not is_of_hosts(b) for b in blocks)
    ]
    assert len(titles) > 20
    opened = set(re.findall(r'section\(\s*"([^"]+)"', tested))
    assert set(titles) - opened == set()


def test_every_fence_is_one_that_is_run():
    fences = re.findall(r"^ *```(.*)$", PAGE.read_text(), re.MULTILINE)
    assert fences[::2] == ["sh"] * (len(fences) // 2)
    assert set(fences[1::2]) == {""}
    assert sum(map(len, sections().values())) == len(fences) // 2


def test_no_block_mixes_what_is_run_with_what_only_hosts_have():
    for blocks in sections().values():
        for block in blocks:
            places = {line.split()[0] for line in block.splitlines()} & PLACES
            assert not places or is_of_hosts(block), block


def test_units_on_the_page_are_those_of_deploy():
    named = []
    for line in host_lines():
        program, *words = shlex.split(line)
        if program == "systemctl":
            verb, *words = words
            assert verb in ("start", "stop", "restart", "status", "kill")
            named += [word for word in words if not word.startswith("--")]
        elif program == "journalctl":
            assert set(words[4:]) == {"--since", "-1h", "--output", "cat"}
            named += words[1:4:2]
    assert named
    for name in named:
        unit = name if name.endswith(".target") else f"{name}.service"
        assert re.sub(r"@\d+", "@", unit) in UNITS, name


def test_services_on_the_page_are_those_of_compose():
    lines = [line for line in host_lines() if line.startswith("docker")]
    assert lines
    for line in lines:
        assert line.startswith(COMPOSE)
        verb, *words = shlex.split(line.removeprefix(COMPOSE))
        assert set(words) - VERBS[verb] <= SERVICES.keys(), line


def test_links_lead_somewhere():
    text = PAGE.read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    for name in re.findall(r"\]\(([^#)][^)]*)\)", text):
        assert (PAGE.parent / name).exists(), name
