"""What lies in deploy/ runs the programs that `up` runs, with variables that exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from optimizer.operations import up
from tests.programs import program

pytestmark = pytest.mark.any_database
ROOT = Path(settings.BASE_DIR)
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PYTHON = "/opt/tuneup/.venv/bin/python"
UNITS = {"web": "tuneup-web.service", "worker": "tuneup-worker@.service"} | {
    "beat": "tuneup-beat.service"
}
FILLED_IN = {
    "TUNEUP_HOST": "tuneup.example.com",
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghij",
    "POSTGRES_PASSWORD": "secret1",
    "REDIS_PASSWORD": "secret2",
    "GRAFANA_PASSWORD": "secret3",
}


def variables(name: str) -> dict[str, str]:
    """Return what an example sets, and what it proposes behind a comment sign."""
    text = (DEPLOY / name).read_text()
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def filled_in(text: str, values: dict[str, str]) -> str:
    """Fill in ${NAME}, ${NAME:-default} and ${NAME:?}. Raises KeyError where a value is needed."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        return values.get(name, default) if default is not None else values[name]

    return re.sub(r"\$\{([A-Z_]+)(?::(?:-([^}]*)|\?))?\}", value, text)


def wanted(name: str, host: str, port: int) -> list[str]:
    """Return the command by which `up` runs a program, without the Python."""
    (found,) = [one for one in up._programs(host, port) if one.name == name]
    return [str(part) for part in found.command[1:]]


def chosen() -> dict[str, str]:
    return {
        "WEB_HOST": "127.0.0.1",
        "WEB_PORT": "8000",
        "WEB_WORKERS": str(settings.WEB_WORKERS),
        "WEB_THREADS": str(settings.WEB_THREADS),
        "CELERY_CONCURRENCY": str(settings.CELERY_CONCURRENCY),
    }


@pytest.mark.parametrize("name", UNITS)
def test_a_container_runs_what_up_runs(name):
    command = [filled_in(part, chosen()) for part in SERVICES[name]["command"]]
    assert command[0] == "python"
    assert command[1:] == wanted(name, "0.0.0.0", 8000)  # noqa: S104


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_what_up_runs(name):
    text = (DEPLOY / "systemd" / UNITS[name]).read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    command = [filled_in(part, chosen()) for part in shlex.split(line)]
    if name == "worker":  # several on a host need names
        assert command[-2:] == ["--hostname", "worker-%i@%H"]
        del command[-2:]
    assert command[0] == PYTHON
    assert command[1:] == wanted(name, "127.0.0.1", 8000)


def test_units_are_what_systemd_reads(tmp_path):
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", folder)
    for path in folder.rglob("*.*"):
        if path.is_file():
            path.write_text(path.read_text().replace(PYTHON, sys.executable))
    units = sorted(path for path in folder.iterdir() if path.is_file())
    done = subprocess.run(
        [program("systemd-analyze"), "verify", *units], capture_output=True, text=True
    )
    # Of the units of the machine itself it may complain, too.
    complaints = [line for line in done.stderr.splitlines() if "tuneup" in line]
    assert complaints == []


def test_one_unit_owns_the_folder_of_the_metrics_and_all_end_with_it():
    folder = "RuntimeDirectory=tuneup tuneup/metrics\n"
    owners = [path.name for path in (DEPLOY / "systemd").glob("*") if folder in text_of(path)]
    assert owners == ["tuneup-prepare.service"]
    common = text_of(DEPLOY / "systemd" / "tuneup-.service.d" / "common.conf")
    assert "\nEnvironment=PROMETHEUS_MULTIPROC_DIR=/run/tuneup/metrics\n" in common
    assert "PROMETHEUS_MULTIPROC_DIR" not in variables("environment.example")  # it would win
    for name in UNITS.values():
        text = text_of(DEPLOY / "systemd" / name)
        assert "\nRequires=tuneup-prepare.service\nAfter=tuneup-prepare.service\n" in text
        assert "\nReadWritePaths=/run/tuneup\n" in text


def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_examples_set_variables_that_exist_and_units_use_those_they_set():
    known = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    beside = variables("environment.example")
    assert beside.keys() | variables("production.env").keys() <= known
    assert not beside.keys() & variables("production.env").keys()
    for name in UNITS.values():
        used = set(re.findall(r"\$\{([A-Z_]+)", text_of(DEPLOY / "systemd" / name)))
        assert used <= beside.keys()
    text = text_of(DEPLOY / "compose.yaml")
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    given = variables("compose.env.example").keys()
    assert used <= given
    assert given - used - known == {"COMPOSE_PROFILES"}


def test_compose_starts_everything_in_order_and_asks_whether_it_is_ready():
    programs = {"prepare", *UNITS}
    always = {name for name, one in SERVICES.items() if "profiles" not in one}
    assert always == programs | {"postgres", "redis", "prometheus", "grafana"}
    for name, service in SERVICES.items():
        if "profiles" in service:
            assert service["profiles"] == [name]
        if name != "prepare":
            assert "healthcheck" in service
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_dir()
            else:
                assert source in COMPOSE["volumes"]
        for other, when in service.get("depends_on", {}).items():
            ends = "command" in SERVICES[other] and other == "prepare"
            assert when["condition"] == (
                "service_completed_successfully" if ends else "service_healthy"
            )
    for name in UNITS:
        assert "prepare" in SERVICES[name]["depends_on"]
        assert any(one.startswith("/run/tuneup:") for one in SERVICES[name]["tmpfs"])
    assert "http://127.0.0.1:8000/ready" in SERVICES["web"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", ["web", "worker"])
def test_production_settings_accept_the_environment_of_a_container(name, tmp_path):
    given = SERVICES[name]["environment"]
    environment = {key: filled_in(value, FILLED_IN) for key, value in given.items()}
    # This machine's own folders; the container's are made by its image.
    environment |= {"TUNEUP_VAR_DIR": str(settings.VAR_DIR), "PATH": os.environ["PATH"]}
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_holds_every_package():
    copied = re.findall(r"^COPY (\S+) \S+$", text_of(DEPLOY / "Dockerfile"), re.MULTILINE)
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    packages = project["tool"]["importlinter"]["root_packages"]
    assert {*packages, "manage.py", "templates", "requirements.txt"} == set(copied)


@pytest.mark.parametrize("name", ["prometheus.yml", "compose.yml"])
def test_prometheus_reads_its_configuration(name, tmp_path):
    shutil.copy(DEPLOY / "prometheus" / name, tmp_path)
    (tmp_path / "tuneup-api-key").write_text("tu_x_y")
    checked = check_config(tmp_path / name)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rules = {"alert": "Slow", "expr": "tuneup_settings_revision >"}
    (tmp_path / "tuneup-rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "tuneup", "rules": [rules]}]})
    )
    assert check_config(tmp_path / name).returncode != 0  # so the rules are looked at


def check_config(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), "check", "config", path], capture_output=True, text=True
    )


def test_prometheus_asks_every_container_by_a_name_that_is_allowed():
    jobs = yaml.safe_load(text_of(DEPLOY / "prometheus" / "compose.yml"))["scrape_configs"]
    web, celery = jobs
    (found,) = web["static_configs"]
    replicas = SERVICES["web"]["deploy"]["replicas"]
    assert found["targets"] == [f"tuneup-web-{n}:8000" for n in range(1, replicas + 1)]
    assert COMPOSE["name"] == "tuneup"  # the containers' names begin with it
    allowed = SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert {"127.0.0.1", *(one.partition(":")[0] for one in found["targets"])} <= set(allowed)
    assert web["authorization"]["credentials_file"] == "tuneup-api-key"
    (dns,) = celery["dns_sd_configs"]
    assert {"worker", "beat"} == set(dns["names"])
    for name in dns["names"]:
        assert SERVICES[name]["environment"]["CELERY_METRICS_PORT"] == str(dns["port"])
        assert f"127.0.0.1:{dns['port']}/" in SERVICES[name]["healthcheck"]["test"][-1]


def test_grafana_finds_its_dashboards_and_its_prometheus():
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load(text_of(provisioning / "datasources" / "tuneup.yml"))["datasources"]
    assert source["url"] == "${PROMETHEUS_URL}"
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load(text_of(provisioning / "dashboards" / "tuneup.yml"))["providers"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"
