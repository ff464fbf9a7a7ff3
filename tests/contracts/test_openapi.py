"""The API keeps what its document says: the snapshot, and whatever schemathesis thinks of."""

import json
import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from ninja import Schema
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from optimizer.control import keys

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SNAPSHOT = Path(__file__).with_name("openapi.json")
PATH = "/internal/v1/openapi.json"


def document() -> dict[str, object]:
    from config.api import api

    written: dict[str, object] = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return written


def test_the_document_is_the_one_that_was_reviewed():
    """Run with UPDATE_SNAPSHOTS=1 to take a change over, and read the diff."""
    now = json.dumps(document(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(now)
    assert now == SNAPSHOT.read_text()


def test_every_operation_says_that_its_errors_are_problems():
    for path in document()["paths"].values():  # type: ignore[attr-defined]
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.django_db
def test_the_document_and_its_page_are_for_staff(client, admin_client):
    assert client.get(PATH).status_code == 302
    assert admin_client.get(PATH).status_code == 200
    page = admin_client.get("/internal/v1/docs").content.decode()
    assert "http://" not in page
    assert "https://" not in page


SCHEMA = schemathesis.openapi.from_dict(document())
_operations = [one.ok() for one in SCHEMA.get_all_operations()]  # type: ignore[union-attr]
OPERATIONS = {one.label: one for one in _operations}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_call_breaks_the_server_and_every_error_has_one_shape(live_server, label, mode):
    operation = OPERATIONS[label]

    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case):
        response = case.call(
            base_url=live_server.url,
            headers={"Authorization": f"Bearer {_token()}"},
            timeout=20,
        )
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            problem = response.json()
            assert problem["status"] == response.status_code
            assert problem["title"]

    call()


def _token() -> str:
    """Issue a key once a test; the database is emptied between tests."""
    from optimizer.control.models import ApiKey

    token = f"tu_contract_{'x' * 43}"
    if not ApiKey.objects.filter(name="contract").exists():
        keys.issue(name="contract", token=token)
    return token


def test_no_two_schemas_share_a_name():
    """Of two with one name the document would describe one in the place of both."""
    document()  # every router is imported now
    kinds = [Schema]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = ("optimizer.", "caching.", "ratelimit.")
    names = [
        one.__name__
        for one in kinds
        if one.__module__.startswith(ours) and not one.__subclasses__()  # bases are not shown
    ]
    assert sorted(names) == sorted(set(names))
