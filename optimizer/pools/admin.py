"""The pages of pools."""

from django.contrib import admin

from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.pools.models import PooledConnection, PoolsSettings


@admin.register(PoolsSettings)
class PoolsSettingsAdmin(SettingsAdmin):
    """What holds for every pool; and the live page."""


@admin.register(PooledConnection)
class PooledConnectionAdmin(SettingsRowAdmin):
    """Pools."""
