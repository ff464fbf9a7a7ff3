"""The live settings of the outer wall and the operations endpoints."""

import msgspec

from optimizer.control.live import LiveSettings
from optimizer.operations.models import Network, OperationsSettings, parse_networks
from optimizer.operations.models.addresses import addresses_in


class Operations(msgspec.Struct, frozen=True):
    """The frozen settings; the defaults are the model's."""

    login_rate_per_minute: int = 10
    anonymous_rate_per_minute: int = 120
    keyed_rate_per_minute: int = 0
    trusted_proxy_count: int = 0
    metrics_allowed_networks: tuple[Network, ...] = ()
    check_timeout_seconds: float = 1.0
    fast_answers: bool = True
    answer_age_seconds: float = 1.0
    keep_minutes_hours: int = 48
    keep_hours_days: int = 90
    keep_alerts_days: int = 90
    keep_reviews_days: int = 400
    review_every: str = "weekly"
    review_weekday: str = "monday"
    review_hour: int = 6
    review_regression_percent: float = 20.0
    review_emails: tuple[str, ...] = ()
    site_url: str = ""


def load() -> Operations:
    """Read the row."""
    row = OperationsSettings.load()
    return Operations(
        login_rate_per_minute=row.login_rate_per_minute,
        anonymous_rate_per_minute=row.anonymous_rate_per_minute,
        keyed_rate_per_minute=row.keyed_rate_per_minute,
        trusted_proxy_count=row.trusted_proxy_count,
        metrics_allowed_networks=parse_networks(row.metrics_allowed_networks),
        check_timeout_seconds=row.check_timeout_seconds,
        fast_answers=row.fast_answers,
        answer_age_seconds=row.answer_age_seconds,
        keep_minutes_hours=row.keep_minutes_hours,
        keep_hours_days=row.keep_hours_days,
        keep_alerts_days=row.keep_alerts_days,
        keep_reviews_days=row.keep_reviews_days,
        review_every=row.review_every,
        review_weekday=row.review_weekday,
        review_hour=row.review_hour,
        review_regression_percent=row.review_regression_percent,
        review_emails=tuple(addresses_in(row.review_emails)),
        site_url=row.site_url,
    )


operations: LiveSettings[Operations] = LiveSettings("operations", load=load, default=Operations())
