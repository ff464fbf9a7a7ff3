"""The frame of the internal API: keys, scopes, errors, and its OpenAPI document."""

from collections.abc import Iterable
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.security import HttpBearer

from optimizer.control import keys
from optimizer.control.bearer import identity_of
from optimizer.control.origin import name_actor
from optimizer.control.problems import CONTENT_TYPE, Problem, respond

ERRORS = {
    "400": "The request cannot be read",
    "401": "No valid key",
    "403": "The key may not call this component",
    "404": "No such thing",
    "409": "It was changed since",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "Some fields are not valid",
    "429": "A limit is reached",
    "503": "A part that this needs is away",
}


class KeyAuth(HttpBearer):
    """A key with the scope of the component that is called."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> keys.Identity:
        identity = identity_of(request)
        if identity is None:
            raise AuthenticationError
        if not identity.may(self.scope):
            raise Problem(
                403,
                "The key may not call this component",
                type="missing-scope",
                detail=f"It needs the scope {self.scope!r}.",
            )
        name_actor(f"key:{identity.name}")
        return identity


class StrictParser(Parser):
    """Read JSON as RFC 8259 has it; text that no database can store is refused here."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = request.body
        if rb"\u0000" in body:
            raise ValueError("NUL characters are not allowed")
        return msgspec.json.decode(body)


class ProblemSchema(Schema):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[dict[str, str]] | None = None


class InternalAPI(NinjaAPI):
    """A NinjaAPI whose errors, and whose document of them, are problem+json."""

    def __init__(self, **options: Any) -> None:
        super().__init__(parser=StrictParser(), **options)
        self.add_exception_handler(Problem, _problem)
        self.add_exception_handler(AuthenticationError, _unauthorized)
        self.add_exception_handler(ValidationError, _invalid)
        self.add_exception_handler(HttpError, _http_error)
        self.add_exception_handler(Http404, lambda *_: respond(Problem(404)))

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        schemas = document["components"].setdefault("schemas", {})
        schemas["Problem"] = ProblemSchema.model_json_schema()
        content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for operation in _operations(document):
            for status, says in ERRORS.items():
                operation["responses"].setdefault(status, {"description": says, "content": content})
        return document


def _operations(document: Any) -> Iterable[Any]:
    for path in document["paths"].values():
        yield from path.values()


def _problem(_: HttpRequest, problem: Any) -> HttpResponse:
    return respond(problem)


def _unauthorized(*_: Any) -> HttpResponse:
    return respond(
        Problem(
            401,
            "No valid key",
            type="invalid-key",
            detail="Send Authorization: Bearer tu_<prefix>_<secret>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    )


def _http_error(_: HttpRequest, error: Any) -> HttpResponse:
    detail = (
        "The body is not valid JSON without NUL characters."
        if error.status_code == 400
        else str(error)
    )
    return respond(Problem(error.status_code, detail=detail))


def _invalid(_: HttpRequest, error: Any) -> HttpResponse:
    found: dict[str, list[str]] = {}
    for one in error.errors:
        # Where it is: ("body", "payload", "cost") names the parameter of our function too.
        place = [str(part) for part in one["loc"] if part not in ("body", "query", "path")]
        field = ".".join(place[1:] or place) or "body"
        found.setdefault(field, []).append(one["msg"])
    return respond(Problem.from_fields(found))
