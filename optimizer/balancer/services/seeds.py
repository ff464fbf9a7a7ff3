"""The load balancer's first rows."""

from django.conf import settings
from django.core.exceptions import ValidationError

from optimizer.balancer.models import Backend, Group
from optimizer.balancer.services.reads.replicas import GROUP
from optimizer.control.revisions import change


def seed() -> None:
    """Write the first rows: an example, and whatever database replicas the environment names."""
    _seed_example()
    _seed_replicas()


def _seed_replicas() -> None:
    """Write the group of the replicas, and a backend for each that it has not.

    Without panic: where no replica is well the primary serves.
    """
    missing = [
        alias
        for alias in settings.DATABASE_REPLICAS
        if not Backend.objects.filter(group__name=GROUP, address=alias).exists()
    ]
    if not missing:
        return
    with change("balancer", reason="Database replicas of the environment"):
        group = Group.objects.filter(name=GROUP).first() or Group(
            name=GROUP, kind="database", panic_percent=0, max_ejected_percent=100
        )
        if group.kind != "database":
            return  # an admin's own, of another kind: reads stay on the primary
        group.full_clean()
        group.save()
        for alias in missing:
            backend = Backend(group=group, name=alias.replace("_", "-"), address=alias)
            backend.full_clean()
            backend.save()


def _seed_example() -> None:
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
