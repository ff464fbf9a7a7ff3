"""An admin's browser without the browser: cookies, CSRF tokens and forms over HTTP."""

import html
import re
from types import TracebackType
from typing import Self

import httpx

_INPUT = re.compile(r"<(?:input|option selected|select|option)[^>]*>", re.IGNORECASE)


class AdminSession:
    """Log in and save forms."""

    def __init__(self, address: str, password: str) -> None:
        self._http = httpx.Client(base_url=address, follow_redirects=True, timeout=20)
        page = self._http.get("/admin/login/")
        login = {**fields(page.text), "username": "admin", "password": password}
        answer = self._http.post("/admin/login/?next=/admin/", data=login)
        assert "Dashboard" in answer.text

    def save(self, path: str, **changes: str) -> httpx.Response:
        """Post the form at `path` with some fields changed."""
        form = {**fields(self._http.get(path).text), **changes}
        return self._http.post(path, data=form)

    def get(self, path: str) -> str:
        return self._http.get(path).text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()


def fields(page: str) -> dict[str, str]:
    """Return the fields of the page's forms as a browser would send them."""
    found: dict[str, str] = {}
    select = ""
    for tag in _INPUT.findall(page):
        attributes = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        name, value = attributes.get("name", ""), html.unescape(attributes.get("value", ""))
        kind = attributes.get("type", "text")
        if tag.lower().startswith("<select"):
            select = name
        elif tag.lower().startswith("<option"):
            if "selected" in tag and select:
                found[select] = value
        elif name and kind in ("text", "hidden", "number", "password"):
            found.setdefault(name, value)
        elif name and kind == "checkbox" and "checked" in tag:
            found[name] = value or "on"
    return {name: value for name, value in found.items() if "__prefix__" not in name}
