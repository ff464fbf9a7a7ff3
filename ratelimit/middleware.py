"""Limits on a whole Django project."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_ratelimit.exceptions import Ratelimited

from optimizer.control.problems import Problem, respond
from ratelimit.guards import user_or_address
from ratelimit.live import UnknownScope, ratelimit
from ratelimit.responses import put_fields, too_many, wants_page
from ratelimit.services import limiter


class RateLimitMiddleware:
    """Limit every request by user or address, in the scope that RATELIMIT_SCOPE names ("web").

    Place it after AuthenticationMiddleware. While no admin has made the scope, all requests pass.
    What django-ratelimit's own decorators refuse is answered with 429 in the same form.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.scope = getattr(settings, "RATELIMIT_SCOPE", "web")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            ratelimit.current().scope(self.scope)
        except UnknownScope:
            return self.get_response(request)
        with limiter.hold(user_or_address(request), 1, self.scope) as decided:
            if not decided:
                return too_many(request, decided)
            return put_fields(self.get_response(request), decided)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer django-ratelimit's exception, which would become a 403."""
        if not isinstance(error, Ratelimited) or wants_page(request):
            return None
        return respond(
            Problem(
                429, "The limit is reached", type="quota-exceeded", headers={"Retry-After": "1"}
            )
        )
