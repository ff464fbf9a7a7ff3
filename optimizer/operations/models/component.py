"""What an admin sets for the outer wall and the operations endpoints."""

import ipaddress

from django.core.exceptions import ValidationError

from optimizer.control.fields import BooleanSetting, FloatSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsModel


def _rate(default: int, help_text: str) -> IntegerSetting:
    return IntegerSetting(
        default=default, minimum=0, maximum=1_000_000, unit="requests", help_text=help_text
    )


class OperationsSettings(SettingsModel):
    """The outer wall, and who may read what."""

    component = "operations"

    login_rate_per_minute = _rate(
        10,
        "Tries to log in to the admin, a minute and client address; 0 is no limit.",
    )
    anonymous_rate_per_minute = _rate(
        120,
        "Internal calls without a valid key, a minute and address; 0 is no limit.",
    )
    keyed_rate_per_minute = _rate(
        0,
        "Internal calls with a valid key, a minute and address; 0 is no limit. "
        "A limit here costs each call two more trips to Redis.",
    )
    trusted_proxy_count = IntegerSetting(
        default=0,
        minimum=0,
        maximum=10,
        help_text="Proxies in front that add to X-Forwarded-For; 0 takes the address as it comes.",
    )
    metrics_allowed_networks = TextSetting(
        default="127.0.0.0/8, ::1/128",
        max_length=500,
        blank=True,
        help_text="Networks that may read /metrics without a key, separated by commas.",
    )
    check_timeout_seconds = FloatSetting(
        default=1.0,
        minimum=0.1,
        maximum=30,
        unit="seconds",
        help_text="How long /ready waits for one check.",
    )
    keep_minutes_hours = IntegerSetting(
        default=48,
        minimum=2,
        maximum=336,
        unit="hours",
        help_text="How long figures are kept for each minute.",
    )
    keep_hours_days = IntegerSetting(
        default=90,
        minimum=1,
        maximum=1100,
        unit="days",
        help_text="How long figures are kept for each hour.",
    )
    keep_alerts_days = IntegerSetting(
        default=90,
        minimum=1,
        maximum=1100,
        unit="days",
        help_text="How long alerts that are over are kept.",
    )

    fast_answers = BooleanSetting(
        default=True,
        help_text="Answer /health, /metrics and /api/overview before Django's middleware, the last "
        "two from the cache.",
    )
    answer_age_seconds = FloatSetting(
        default=1.0,
        minimum=0,
        maximum=60,
        unit="seconds",
        help_text="How old an answer of /metrics and /api/overview may be; 0 makes each anew.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "operations settings"

    def clean(self) -> None:
        try:
            parse_networks(self.metrics_allowed_networks)
        except ValueError as error:
            raise ValidationError({"metrics_allowed_networks": f"{error}."}) from error


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks separated by commas. Raises ValueError naming the one that is none."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())
