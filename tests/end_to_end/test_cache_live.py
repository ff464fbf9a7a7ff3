"""The cache in the running system: its pages in a browser, its settings in every process."""

import json
import re
import secrets
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.end_to_end.conftest import Stack
from tests.end_to_end.test_live_system import patch

pytestmark = pytest.mark.any_database
PAGES = "/admin/caching/cachingsettings"


def call(stack: Stack, method: str, path: str, document: object = None) -> httpx.Response:
    return httpx.request(
        method,
        f"{stack.address}/internal/v1/caching/{path}",
        content=None if document is None else json.dumps(document),
        headers={
            "Authorization": f"Bearer {stack.api_key}",
            "Content-Type": "application/json",
        },
        timeout=60,
    )


@pytest.fixture
def users(stack: Stack) -> str:
    """A namespace whose values every process has a copy of."""
    name = f"u{secrets.token_hex(4)}"
    patch(stack, "caching", namespace={name: {"prefix": f"{name}:", "codec": "json"}})
    eventually(lambda: call(stack, "PUT", f"{name}/1", {"value": "first"}).status_code == 204)
    for number in range(2, 6):
        call(stack, "PUT", f"{name}/{number}", {"value": number}).raise_for_status()
    for _ in range(30):
        assert call(stack, "GET", f"{name}/1").json()["value"] == "first"
    return name


def eventually(condition, within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_a_pattern_is_previewed_confirmed_and_recorded(stack, watched, users):
    page = watched.page
    page.goto(f"{PAGES}/invalidate/")
    page.select_option("[name=kind]", "pattern")
    page.select_option("form:has(#tu-kind) [name=namespace]", users)
    page.fill("#tu-text", "*")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("5 values")).to_be_visible()
    assert call(stack, "GET", f"{users}/1").json()["value"] == "first"  # nothing went yet
    page.get_by_role("button", name="Invalidate in every process").click()
    expect(page.get_by_text("5 values invalidated, in every process.")).to_be_visible()
    expect(page.get_by_role("cell", name=f"pattern * of {users}")).to_be_visible()
    expect(page.get_by_text(re.compile("admin · admin")).first).to_be_visible()
    assert {call(stack, "GET", f"{users}/1").status_code for _ in range(20)} == {404}


def test_a_key_is_looked_at_and_deleted(stack, watched, users):
    page = watched.page
    page.goto(f"{PAGES}/keys/?namespace={users}&key=1")
    expect(page.get_by_text("first", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("bytes, json"))).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("1 is deleted.")).to_be_visible()
    assert {call(stack, "GET", f"{users}/1").status_code for _ in range(20)} == {404}


def test_the_live_page_shows_what_every_process_reads(stack, watched, users):
    page = watched.page
    page.goto(f"{PAGES}/live/")
    expect(page.get_by_role("link", name=users)).to_be_visible(timeout=15_000)
    expect(page.get_by_text(re.compile("confirmed [0-9]+ ms ago")).first).to_be_visible()
    page.get_by_role("link", name=users).click()
    expect(page.get_by_text(f"Only {users}")).to_be_visible()


def test_a_time_to_live_that_an_admin_cuts_governs_every_process(stack, users):
    patch(stack, "caching", namespace={users: {"ttl_seconds": 1}})

    def expires_soon() -> bool:
        call(stack, "PUT", f"{users}/9", {"value": 1}).raise_for_status()
        return bool(call(stack, "GET", f"{users}/9").json()["ttl_seconds"] <= 1)

    eventually(expires_soon)
    time.sleep(1.2)
    assert {call(stack, "GET", f"{users}/9").status_code for _ in range(10)} == {404}


def test_the_command_and_the_metrics_tell_what_the_api_did(stack, users):
    told = json.loads(stack.manage("cache", "stats", "--json"))
    eventually(lambda: users in json.loads(stack.manage("cache", "stats", "--json"))["namespaces"])
    assert told["total"]["reads"] > 0
    text = httpx.get(
        f"{stack.address}/metrics", headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=10
    ).text
    assert f'tuneup_caching_operations_total{{namespace="{users}",operation="writes"}}' in text
    assert "tuneup_caching_backplane_staleness_seconds" in text
