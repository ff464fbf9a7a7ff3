"""`.env.example` and the settings name the same variables; a bad value is refused by its name."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings


def test_every_variable_that_is_read_is_listed_and_none_else():
    listed = set(
        re.findall(r"^# ([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    )
    read = {
        name
        for path in (settings.BASE_DIR / "config" / "settings").glob("*.py")
        for name in re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', path.read_text())
    }
    outside_of_settings = {
        "DJANGO_SETTINGS_MODULE",
        "TUNEUP_TEST_REDIS_URL",
        "TUNEUP_TEST_REDIS_SERVER",
    }
    assert listed == read | outside_of_settings


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("WEB_PORT", "abc", "a whole number from 1 to 65535, not 'abc'"),
        ("WEB_WORKERS", "0", "a whole number from 1 to 64, not '0'"),
        ("CELERY_CONCURRENCY", "1.5", "a whole number from 1 to 64"),
        ("REDIS_TIMEOUT_SECONDS", "nan", "a number from 0.01 to 60"),
        ("REDIS_URL", "localhost:6379", "like redis://"),
        ("REDIS_URL", "redis://:secret@host:port", "like redis://"),
        ("DATABASE_URL", "mysql://host/name", "like postgres://"),
        ("DEBUG", "maybe", "true or false, not 'maybe'"),
        ("EMAIL_URL", "mail.example.com", "like smtp+tls://"),
        ("LOG_LEVEL", "loud", "one of CRITICAL"),
        ("LOG_FORMAT", "xml", "one of text, json"),
        ("TUNEUP_VAR_DIR", "/dev/null/x", "a folder to write in"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/x", "a folder to write in"),
        ("CELERY_METRICS_PORT", "65536", "a whole number from 0 to 65535"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(name, value, allowed):
    done = subprocess.run(
        [sys.executable, "manage.py", "up", "--no-venv"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.local", name: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"{name} must be {allowed}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
