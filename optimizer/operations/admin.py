"""The outer wall's page."""

from django.contrib import admin

from optimizer.control.admin_base import SettingsAdmin
from optimizer.operations import accounts_admin  # noqa: F401  (registers on import)
from optimizer.operations.models import OperationsSettings


@admin.register(OperationsSettings)
class OperationsSettingsAdmin(SettingsAdmin):
    """The outer wall, and who may read what."""
