"""Components are switched through their live settings, and verified."""

import pytest
from django.core.management import CommandError, call_command

from optimizer.control import registry
from optimizer.control.models import Revision
from optimizer.operations import switching, verification, verify, verifying
from optimizer.operations.models import OperationsSettings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
ALL = {"queries", "caching", "ratelimit", "batches", "operations"}


def states() -> dict[str, bool]:
    return {one.component: one.is_on for one in switching.switches()}


def test_every_component_has_a_switch():
    assert states().keys() >= ALL
    assert all(states().values())


def test_only_what_stands_otherwise_is_turned_a_revision_each():
    OperationsSettings(fast_answers=False).save()
    before = Revision.objects.count()
    turned = switching.turn(switching.switches(), on=False, reason="a test")
    assert {one.component for one in turned} == states().keys() - {"operations"}
    assert Revision.objects.count() == before + len(turned)
    assert set(states().values()) == {False}
    live = registry.get("caching").live.current()
    assert live.enabled is False


def test_what_was_switched_is_put_back_whatever_happens():
    OperationsSettings(fast_answers=False).save()
    before, chosen = states(), switching.switches()
    with pytest.raises(KeyboardInterrupt), switching.kept(chosen, reason="back"):
        switching.turn(chosen, on=True, reason="a test")
        raise KeyboardInterrupt
    assert states() == before


def test_the_command_switches_some_and_says_what(capsys):
    call_command("enable_optimizations", off=True, only="caching,queries", dry_run=True)
    said = capsys.readouterr().out
    assert "Cache manager: off (was on)" in said
    assert "2 would change." in said
    assert all(states().values())
    call_command("enable_optimizations", off=True, only="caching,queries")
    assert {name for name, on in states().items() if not on} == {"caching", "queries"}
    with pytest.raises(CommandError, match="--only: nothing: no such optimization"):
        call_command("enable_optimizations", only="nothing")


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_it_is_said_that_nobody_can_tell():
    with pytest.raises(CommandError, match="Switched, but Redis is away"):
        call_command("enable_optimizations", off=True, only="caching")
    assert states()["caching"] is False


def test_a_check_that_fails_or_breaks_is_an_outcome_with_advice():
    def fails() -> str:
        raise AssertionError("2 is not 3")

    def breaks() -> str:
        raise LookupError("nowhere")

    component = registry.get("ratelimit")
    chosen = [
        (component, registry.Check("good", lambda: "fine", "unused")),
        (component, registry.Check("bad", fails, "Count again.")),
        (component, registry.Check("broken", breaks)),
    ]
    begun: list[str] = []
    found = list(verifying.run(chosen, lambda number, name, check: begun.append(check)))
    assert [one.passed for one in found] == [True, False, False]
    assert [one.said for one in found] == ["fine", "2 is not 3", "LookupError: nowhere"]
    assert [one.advice for one in found] == [
        "", "Count again.", "See docs/components/ratelimit.md.",
    ]  # fmt: skip
    assert begun == ["good", "bad", "broken"]


def test_there_are_enough_checks_of_each_component():
    counts = {one.name: len(one.verify) for one in registry.components()}
    assert counts["queries"] >= 4
    assert counts["caching"] >= 4
    assert counts["ratelimit"] >= 3
    assert counts["batches"] >= 3
    names = [check.name for check in registry.get("operations").verify]
    assert sum(name.startswith("integration: ") for name in names) >= 4
    assert sum(name.startswith("performance: ") for name in names) >= 2


def test_the_components_own_checks_pass_here(capsys):
    call_command("verify_optimizations", only="caching,ratelimit,batches")
    assert "passed." in capsys.readouterr().out


@pytest.fixture
def nothing_runs(settings, monkeypatch):
    settings.WEB_PORT = 1
    monkeypatch.setattr(verify, "ECHO_SECONDS", 1.0)  # of a worker that is not there


@pytest.mark.usefixtures("nothing_runs")
def test_without_a_running_system_verification_fails_and_says_what_to_do(capsys):
    with pytest.raises(SystemExit) as ended:
        call_command("verify_optimizations", only="operations")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "does not answer" in said
    assert "manage.py up" in said


@pytest.mark.usefixtures("nothing_runs")
def test_the_page_asks_a_worker_and_shows_what_it_found(admin_client):
    from django.urls import reverse

    page = reverse("admin:operations_verification")
    assert "Nothing was verified" in admin_client.get(page).content.decode()
    assert "waiting" in admin_client.post(page, follow=True).content.decode()
    found = verification.last()
    assert found is not None
    verification.run(found["run"], found["actor"])  # what the worker does
    said = admin_client.get(reverse("admin:operations_verification_fragment")).content.decode()
    assert "integration: web is alive and closed" in said
    assert "failed" in said


def test_the_pages_of_baselines(admin_client, settings, tmp_path):
    from django.urls import reverse

    from optimizer.operations.baselines import files
    from tests.operations.test_baselines import baseline

    settings.METRICS_HISTORY_DIR = tmp_path
    page = reverse("admin:operations_baselines")
    assert "no baseline yet" in admin_client.get(page).content.decode()
    one, two = files.write(baseline(0, health=4)), files.write(baseline(1, health=1))
    assert "75 % faster" in admin_client.get(page).content.decode()
    turned = admin_client.get(page, {"before": two.stem, "after": one.stem}).content.decode()
    assert "slower" in turned
    assert "worse" in turned
    odd = admin_client.get(page, {"before": "../x", "after": "<script>"})
    assert odd.status_code == 200
    one.write_text("{")
    assert "is no baseline" in admin_client.get(page).content.decode()
