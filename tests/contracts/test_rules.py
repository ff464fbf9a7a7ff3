"""Rules that hold over all components, whoever writes the next one."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

from optimizer.control import registry
from optimizer.control.fields import SettingField
from optimizer.control.models import Recorded, SettingsModel
from optimizer.control.revisions import settings_models
from tests.programs import program

ROOT = Path(settings.BASE_DIR)
SIX = registry.components(platform=False)
MODELS = [model for model in apps.get_models() if issubclass(model, Recorded)]
OURS = [model for model in MODELS if not model.__module__.startswith("tests.")]


def package_of(component: registry.Component) -> str:
    for name in (component.name, f"optimizer.{component.name}"):
        if importlib.util.find_spec(name) is not None:
            return name
    raise AssertionError(f"{component.name} is no package")


@pytest.mark.parametrize("component", SIX, ids=lambda one: one.name)
def test_every_component_has_the_same_rooms(component):
    package = package_of(component)
    rooms = ("engine", "models", "live", "services", "selectors")
    doors = ("admin", "api", "apps", "metrics", "verify")
    missing = [
        room for room in rooms + doors if importlib.util.find_spec(f"{package}.{room}") is None
    ]
    assert missing == []
    assert len(component.verify) >= 3
    assert component.router.startswith(f"{package}.api.")


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("component", registry.components(), ids=lambda one: one.name)
def test_every_status_is_plain_data_and_says_something(component):
    import json

    assert json.loads(json.dumps(component.status()))


@pytest.mark.usefixtures("redis_away")
@pytest.mark.django_db
@pytest.mark.parametrize("component", registry.components(), ids=lambda one: one.name)
def test_no_status_fails_while_redis_is_away(component):
    assert component.status()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_setting_has_help_a_default_and_a_constraint(model):
    constraints = {one.name for one in model._meta.constraints}
    for field in model._meta.fields:
        if not isinstance(field, SettingField):
            continue
        assert field.help_text
        if issubclass(model, SettingsModel):
            assert field.has_default()
        if field.condition(field.name) is not None:
            name = f"{model._meta.app_label}_{model._meta.model_name}_{field.name}_range"
            assert name in constraints
            assert len(name) <= 63  # PostgreSQL cuts longer names


@pytest.mark.django_db
@pytest.mark.parametrize("component", registry.components(), ids=lambda one: one.name)
def test_the_defaults_in_memory_are_the_defaults_of_the_models(component):
    """What serves before the first load is what an untouched database gives."""
    loaded, fallback = component.live.load(), component.live.default
    for field in loaded.__struct_fields__:
        if field != "metrics_allowed_networks":  # nobody, where the database cannot be asked
            assert getattr(loaded, field) == getattr(fallback, field)


def test_every_component_with_settings_models_is_registered():
    owned = {model.component for model in OURS}
    assert owned == {one.name for one in registry.components()}
    assert all(settings_models(name) for name in owned)


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_the_metrics_keep_prometheus_rules(client):
    client.get("/health")
    text = client.get("/metrics").content
    ours = b"".join(
        line + b"\n" for line in text.splitlines() if b"tuneup_" in line and b"_created" not in line
    )
    assert b"tuneup_http_requests_total" in ours
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=ours, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_no_file_is_longer_than_a_reader_likes():
    long = {
        str(path.relative_to(ROOT)): count
        for package in ("caching", "optimizer", "ratelimit", "config", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
        if path.parent.name != "migrations"  # generated
        and (count := len(path.read_text().splitlines())) > 320
    }
    assert long == {}


@pytest.mark.django_db
def test_the_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
