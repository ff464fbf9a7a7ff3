"""The load balancer's first rows."""

from django.conf import settings
from django.core.exceptions import ValidationError

from optimizer.balancer.models import Backend, Group
from optimizer.control.revisions import change


def seed() -> None:
    """Write an example group where there are no groups yet: its one backend is Tuneup itself."""
    if Group.objects.exists():
        return
    host = "127.0.0.1" if settings.WEB_HOST in ("0.0.0.0", "::", "") else settings.WEB_HOST  # noqa: S104 (compared)
    with change("balancer", reason="First group"):
        group = Group(name="example", check_kind="http", check_path="/health")
        group.full_clean()
        group.save()
        address = f"http://[{host}]" if ":" in host else f"http://{host}"
        backend = Backend(group=group, name="example-1", address=f"{address}:{settings.WEB_PORT}")
        try:
            backend.full_clean()
        except ValidationError:
            return  # the allow-list has been narrowed; the group stays as an example without one
        backend.save()
