"""The look of the admin; nothing in it comes from another host."""

from typing import Any

from django.templatetags.static import static


def _asset(name: str) -> Any:
    return lambda request: static(f"tuneup/{name}")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tuneup",
    "SITE_HEADER": "Tuneup",
    "SITE_SUBHEADER": "live settings of the bot's back end",
    "SITE_SYMBOL": "speed",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _asset("icon.svg")}],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "optimizer.operations.dashboard.environment",
    "DASHBOARD_CALLBACK": "optimizer.operations.dashboard.context",
    "STYLES": [_asset("admin.css")],
    "SCRIPTS": [_asset("refresh.js"), _asset("preview.js")],
    "SIDEBAR": {"show_search": True, "navigation": "optimizer.operations.dashboard.navigation"},
}
