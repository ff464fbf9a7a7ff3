"""Content-Security-Policy: strict everywhere, with two exceptions under the admin's path.

Unfold's Alpine build evaluates expressions and sets styles; why that is allowed there, and only
there, stands in docs/decisions.md.
"""

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse_lazy

STRICT_POLICY = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "object-src": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
ADMIN_EXTRA = {
    "script-src": [
        "'self'",
        "'unsafe-eval'",
        # The one inline script of django-celery-beat's form, by its digest.
        "'sha256-QE3U2xYF7B4J2ro1/9oxiKhaWCGW39gB7ocQ/xlD0bE='",
    ],
    "style-src": ["'self'", "'unsafe-inline'"],
}
_admin = reverse_lazy("admin:index")


class PolicyMiddleware(CSPMiddleware):
    """Send the policy, and the powers that browsers are asked to leave off."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path.startswith(str(_admin)):
            response._csp_update = ADMIN_EXTRA  # type: ignore[attr-defined]
        response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        return super().process_response(request, response)
