"""`.env.example` and the settings name the same variables."""

import re

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
