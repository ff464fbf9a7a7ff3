"""An admin with a real browser: everything they see works, and nothing comes from elsewhere."""

import re
import secrets
import time

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import PASSWORD, Stack
from tests.end_to_end.test_live_system import patch, path_of

pytestmark = pytest.mark.any_database


@pytest.fixture
def tier(stack: Stack) -> dict[str, str]:
    name = f"web-{secrets.token_hex(4)}"
    patch(
        stack,
        "ratelimit",
        tier={name: {"capacity": 2, "refill_tokens": 1, "refill_period_seconds": 3600}},
        subject={f"user:{name}": {"tier": name}},
    )
    return {"name": name, "subject": f"user:{name}", "path": path_of(stack, name)}


def test_a_tier_is_changed_everybody_acknowledges_and_the_next_call_obeys(stack, watched, tier):
    assert [stack.check(tier["subject"]).status_code for _ in range(3)] == [200, 200, 429]
    page = watched.page
    page.goto(tier["path"])
    page.fill("[name=capacity]", "40 tokens")
    page.fill("[name=refill_period_seconds]", "1 h")
    page.fill("[name=refill_tokens]", "500000")
    page.fill("[name=change_reason]", "the bot needs more")
    page.get_by_role("button", name="Save", exact=True).click()
    panel = page.locator(".tu-panel", has_text="Revision")
    expect(panel.locator(".tu-state.ok")).to_have_count(8, timeout=60_000)
    expect(page.locator(".tu-panel[data-settled]")).to_be_visible()
    assert stack.check(tier["subject"]).json()["limit"] == 40
    assert stack.check(tier["subject"]).status_code == 200


def test_an_unsaved_number_out_of_range_is_refused_beside_its_field(stack, watched, tier):
    page = watched.page
    page.goto(tier["path"])
    page.fill("[name=capacity]", "0")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(re.compile("Must be between 1 token and"))).to_be_visible()


def test_a_change_is_confirmed_in_the_panel(stack, watched, tier):
    page = watched.page
    page.goto(tier["path"])
    page.fill("[name=capacity]", "7")
    page.select_option("[name=change_keep]", "confirm")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(re.compile("Reverts itself in"))).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text(re.compile(r"Revision \d+ stays"))).to_be_visible()


def test_a_revert_is_two_clicks_from_the_history(stack, watched, tier):
    page = watched.page
    patch(stack, "ratelimit", tier={tier["name"]: {"capacity": 30}})
    page.goto(tier["path"].replace("change", "history"))
    page.get_by_role("link", name="Revert…").first.click()
    page.get_by_role("button", name=re.compile("Revert revision")).click()
    expect(page.get_by_text(re.compile("is reverted"))).to_be_visible()
    assert stack.check(tier["subject"]).json()["limit"] == 2


def test_the_live_page_moves_by_itself_and_gives_tokens(stack, watched, tier):
    page = watched.page
    page.goto(f"/admin/ratelimit/ratelimitsettings/live/?subject={tier['subject']}")
    expect(page.get_by_text("2 of 2 tokens")).to_be_visible()
    assert [stack.check(tier["subject"]).status_code for _ in range(3)] == [200, 200, 429]
    expect(page.get_by_text("0 of 2 tokens")).to_be_visible(timeout=60_000)
    expect(page.locator(".tu-bars").get_by_text(tier["subject"])).to_be_visible(timeout=60_000)
    page.fill("[name=tokens]", "5")
    page.get_by_role("button", name="Grant").click()
    expect(page.get_by_text("has 5 tokens now")).to_be_visible()
    assert stack.check(tier["subject"]).status_code == 200
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("is full again")).to_be_visible()
    # The slot of ten seconds in which the calls came is over by now, or soon.
    expect(page.get_by_role("cell", name=tier["name"])).to_be_visible(timeout=60_000)


def test_a_change_is_tried_on_the_last_hour_before_it_is_saved(stack, watched, tier):
    for _ in range(8):
        stack.check(tier["subject"])
    time.sleep(1.5)  # until it is reported
    page = watched.page
    page.goto(tier["path"])
    page.fill("[name=capacity]", "8")
    page.get_by_role("button", name="Try on the last hour").click()
    box = page.locator("#tu-what-if")
    expect(box).to_contain_text("0.0 % of the last hour's calls would be refused, now 75.0 %")
    page.fill("[name=capacity]", "0")
    page.get_by_role("button", name="Try on the last hour").click()
    expect(box).to_contain_text("Must be between")
    assert stack.check(tier["subject"]).json()["limit"] == 2  # nothing was saved


def test_a_job_shows_what_its_sink_needs_and_is_paused_on_its_page(stack, watched):
    page = watched.page
    page.goto("/admin/batches/job/1/change/")
    expect(page.locator("[name=handler]")).to_be_visible()
    expect(page.locator("[name=model]")).to_be_hidden()
    page.select_option("[name=sink]", "model")
    expect(page.locator("[name=model]")).to_be_visible()
    expect(page.locator("[name=handler]")).to_be_hidden()
    page.goto("/admin/batches/job/1/status/")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("1 job: paused")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("1 job: goes on")).to_be_visible()


PAGES = (
    "/admin/",
    "/admin/ratelimit/tier/",
    "/admin/ratelimit/tier/add/",
    "/admin/ratelimit/tier/1/change/",
    "/admin/ratelimit/ratelimitsettings/1/change/",
    "/admin/ratelimit/ratelimitsettings/live/?subject=example",
    "/admin/ratelimit/scope/add/",
    "/admin/ratelimit/subject/",
    "/admin/ratelimit/subjectpattern/add/",
    "/admin/caching/cachingsettings/1/change/",
    "/admin/caching/cachingsettings/live/",
    "/admin/caching/cachingsettings/keys/?namespace=default&key=nothing",
    "/admin/caching/cachingsettings/invalidate/",
    "/admin/caching/namespace/",
    "/admin/caching/namespace/add/",
    "/admin/caching/namespace/1/change/",
    "/admin/caching/invalidation/",
    "/admin/batches/batchessettings/1/change/",
    "/admin/batches/batchessettings/live/",
    "/admin/batches/job/",
    "/admin/batches/job/1/change/",
    "/admin/batches/job/1/status/",
    "/admin/batches/deadletter/",
    "/admin/batches/run/",
    "/admin/batches/callback/",
    "/admin/batches/item/",
    "/admin/balancer/balancersettings/1/change/",
    "/admin/balancer/balancersettings/live/",
    "/admin/balancer/balancersettings/what-if/?group=example",
    "/admin/balancer/group/",
    "/admin/balancer/group/1/change/",
    "/admin/operations/operationssettings/1/change/",
    "/admin/control/controlsettings/1/change/",
    "/admin/control/apikey/add/",
    "/admin/control/revision/",
    "/admin/control/revision/1/change/",
    "/admin/control/revision/1/revert/",
    "/admin/auth/user/",
    "/admin/django_celery_beat/periodictask/add/",
    "/internal/v1/docs",
)


NARROW, WIDE = 400, 1280


@pytest.mark.parametrize(
    ("scheme", "widths"), [("light", (NARROW, WIDE)), ("dark", (WIDE, NARROW))]
)
def test_every_page_stands_in_every_size_and_scheme(watched, scheme, widths):
    """Each page loads without a complaint of the browser, and nothing sticks out sideways."""
    page = watched.page
    page.emulate_media(color_scheme=scheme)
    for path in PAGES:
        resize(page, widths[0])
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        watched.settle()
        is_ours = path.startswith("/admin/") and "celery" not in path
        for width in widths if is_ours else ():
            resize(page, width)
            overflow = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overflow <= 1, (path, width, overflow)


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 850})


def test_without_javascript_a_tier_can_still_be_changed(browser, stack, tier):
    context = browser.new_context(base_url=stack.address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/admin/login/?next={tier['path']}")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.locator("[type=submit]").click()
    page.locator("[name=capacity]").fill("12")
    page.locator("[name=_save]").first.click()
    context.close()
    assert stack.check(tier["subject"]).json()["limit"] == 12


@pytest.mark.parametrize("width", [400, 1280])
def test_without_javascript_a_key_is_made_and_revoked(browser, stack, signed_in, width):
    context = browser.new_context(
        base_url=stack.address,
        java_script_enabled=False,
        storage_state=signed_in,
        viewport={"width": width, "height": 850},
    )
    page = context.new_page()
    name = f"key-{secrets.token_hex(4)}"
    page.goto("/admin/control/apikey/add/")
    page.fill("[name=name]", name)
    page.locator("[name=scopes]").first.check()
    page.locator("[name=_save]").first.click()
    expect(page.locator(".tu-token")).to_have_text(re.compile(r"^tu_"))
    page.goto(f"/admin/control/apikey/?q={name}")
    page.locator("[name=_selected_action]").check()
    page.select_option("[name=action]", "revoke")
    page.locator("[name=index]").first.click()
    expect(page.get_by_text("1 key(s) revoked.")).to_be_visible()
    context.close()
