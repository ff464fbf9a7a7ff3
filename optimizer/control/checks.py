"""System checks of the settings models: a setting without default, unit or range is refused."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db import models

from optimizer.control.fields import SettingField


@register("settings")
def settings_models(**_: Any) -> list[CheckMessage]:
    """Check what every settings model promises to admins."""
    from optimizer.control.live import all_live
    from optimizer.control.models import Recorded, SettingsModel

    known = {live.component for live in all_live()}
    errors: list[CheckMessage] = []
    for model in apps.get_models():
        if not issubclass(model, Recorded):
            continue
        if model.component not in known:
            errors.append(
                Error(
                    f"No live settings are registered for component {model.component!r}.",
                    hint="Make a LiveSettings in the app's live.py and import it in ready().",
                    obj=model,
                    id="control.E001",
                )
            )
        for field in model._meta.fields:
            if isinstance(field, SettingField):
                if not field.help_text:
                    errors.append(
                        Error(f"{field.name} has no help text.", obj=model, id="control.E002")
                    )
                if issubclass(model, SettingsModel) and not field.has_default():
                    errors.append(
                        Error(
                            f"{field.name} has no default.",
                            hint="Every setting works before anyone has touched it.",
                            obj=model,
                            id="control.E003",
                        )
                    )
            elif (
                field.remote_field
                and field.editable
                and field.remote_field.on_delete is models.SET_NULL
            ):
                errors.append(
                    Error(
                        f"{field.name} uses SET_NULL, which no revision sees.",
                        hint="Use PROTECT or CASCADE.",
                        obj=model,
                        id="control.E004",
                    )
                )
    return errors
