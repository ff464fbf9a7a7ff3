"""Backends: where they are, and how much they take."""

import socket
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from optimizer.balancer.engine.addresses import AllowList, BadAddress, parse
from optimizer.balancer.models.choices import GroupKind
from optimizer.balancer.models.component import BalancerSettings
from optimizer.balancer.models.groups import NAME, NAME_HINT, Group
from optimizer.control.fields import BooleanSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsRow


class Backend(SettingsRow):
    """One of a group's backends."""

    component = "balancer"

    group = models.ForeignKey(
        Group, on_delete=models.CASCADE, related_name="backends", help_text="What it belongs to."
    )
    name = TextSetting(
        max_length=48,
        unique=True,
        pattern=NAME,
        pattern_hint=NAME_HINT,
        help_text="Short name, the only one of all groups, used in metrics.",
    )
    address = TextSetting(
        max_length=300,
        help_text="http://host:port/base, host:port, redis://host:port/0, or a database alias, as "
        "the group's kind says.",
    )
    weight = IntegerSetting(
        default=1, minimum=1, maximum=1000, unit="", help_text="Its share against the others."
    )
    zone = TextSetting(
        max_length=48, default="", blank=True, help_text="Where it stands, if the group looks."
    )
    priority = IntegerSetting(
        default=0,
        minimum=0,
        maximum=100,
        unit="",
        help_text="Higher numbers are used when too few of the lower ones are healthy.",
    )
    enabled = BooleanSetting(default=True, help_text="Off takes no calls.")
    draining = BooleanSetting(
        default=False, help_text="Takes no new calls; those under way are ended."
    )
    max_in_flight = IntegerSetting(
        default=0,
        minimum=0,
        maximum=100_000,
        unit="calls",
        help_text="How many calls of one process may be under way at once. 0 sets no limit.",
    )

    class Meta:
        ordering = ("group", "name")
        constraints = (
            models.UniqueConstraint(
                fields=("group", "address"),
                name="balancer_backend_address_once",
                violation_error_message="The group has a backend with this address already.",
            ),
        )

    def clean(self) -> None:
        group = _group_of(self)
        if group is None or not self.address:
            return  # said of that field
        if group.kind == GroupKind.DATABASE:
            if self.address not in settings.DATABASES:
                known = ", ".join(settings.DATABASES)
                raise ValidationError({"address": f"Must be an alias of DATABASES: {known}."})
            return
        try:
            found = parse(group.kind, self.address)
            AllowList(BalancerSettings.load().allowed_addresses).addresses(found.host, resolve)
        except BadAddress as error:
            says = str(error)
            raise ValidationError({"address": f"{says[:1].upper()}{says[1:]}."}) from error


def _group_of(backend: Any) -> Group | None:
    try:
        group: Group | None = backend.group
    except Group.DoesNotExist:
        return None
    return group


def resolve(host: str) -> list[str]:
    """Return a host's IP addresses. Raises OSError."""
    return [str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
