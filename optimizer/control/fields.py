"""Model fields for settings: each declares its default, unit, range and badge once.

From that one declaration come the validators, the help text, the form's hints and a database
constraint, so what is stored is always valid. Migrations see plain Django fields.
"""

import math
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.module_loading import import_string

from optimizer.control.units import format_amount

LIVE = "live"
RESTART = "restart"


class SettingField(models.Field):
    """Common part of the fields that an admin edits."""

    unit = ""
    minimum: float | int | None = None
    maximum: float | int | None = None
    applies = LIVE

    @property
    def range_text(self) -> str:
        """The allowed range in words, "" where there is none."""
        return ""

    def condition(self, name: str) -> Q | None:
        """Return what the database checks, for a column called `name`."""
        return None

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False
    ) -> None:
        super().contribute_to_class(cls, name, private_only)
        condition = self.condition(name)
        if condition is None or cls._meta.abstract:
            return
        options = cls._meta
        constraint = models.CheckConstraint(
            condition=condition,
            name=f"{options.app_label}_{options.model_name}_{name}_range",
            violation_error_message=f"{name}: {self.range_text}.",
        )
        options.constraints = [*options.constraints, constraint]
        # The autodetector compares only options that were declared.
        options.original_attrs.setdefault("constraints", options.constraints)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        plain = next(c for c in type(self).__mro__ if c.__module__.startswith("django.db.models"))
        kwargs.pop("validators", None)  # they repeat the constraint
        return name, f"django.db.models.{plain.__name__}", args, kwargs

    def clone(self) -> Any:
        """Return the plain Django field that migrations keep."""
        _, path, args, kwargs = self.deconstruct()
        return import_string(path)(*args, **kwargs)


class _NumberSetting(SettingField):
    def __init__(
        self,
        *,
        default: Any,
        minimum: float | int,
        maximum: float | int,
        unit: str = "",
        applies: str = LIVE,
        help_text: str = "",
        **kwargs: Any,
    ) -> None:
        self.minimum, self.maximum, self.unit, self.applies = minimum, maximum, unit, applies
        says = f"must be between {format_amount(minimum, unit)} and {format_amount(maximum, unit)}"
        kwargs["validators"] = [
            MinValueValidator(minimum, message=says.capitalize() + "."),
            MaxValueValidator(maximum, message=says.capitalize() + "."),
        ]
        super().__init__(default=default, help_text=help_text, **kwargs)

    @property
    def range_text(self) -> str:
        return (
            f"{format_amount(self.minimum, self.unit)} to {format_amount(self.maximum, self.unit)}"
        )

    def condition(self, name: str) -> Q:
        return Q(**{f"{name}__gte": self.minimum, f"{name}__lte": self.maximum})


class IntegerSetting(_NumberSetting, models.BigIntegerField):
    """Hold a whole number from `minimum` to `maximum` in `unit`."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, float) and not value.is_integer():
            raise ValidationError(f"Must be a whole number, {self.range_text}.")
        return super().to_python(value)


class FloatSetting(_NumberSetting, models.FloatField):
    """Hold a number from `minimum` to `maximum` in `unit`."""

    def to_python(self, value: Any) -> Any:
        number = super().to_python(value)
        # NaN compares false with both ends of the range.
        if number is not None and not math.isfinite(number):
            raise ValidationError(f"Must be a number, {self.range_text}.")
        return number


class BooleanSetting(SettingField, models.BooleanField):
    """Hold a switch."""

    def __init__(
        self, *, default: bool, applies: str = LIVE, help_text: str = "", **kwargs: Any
    ) -> None:
        self.applies = applies
        super().__init__(default=default, help_text=help_text, **kwargs)


class ChoiceSetting(SettingField, models.CharField):
    """Hold one of a few named choices (a `TextChoices` class)."""

    def __init__(
        self, *, choices: Any, default: str, applies: str = LIVE, help_text: str = "", **kwargs: Any
    ) -> None:
        self.applies = applies
        kwargs.setdefault("max_length", 32)
        super().__init__(choices=choices, default=default, help_text=help_text, **kwargs)

    @property
    def range_text(self) -> str:
        return "one of " + ", ".join(str(value) for value, _ in self.flatchoices)

    def condition(self, name: str) -> Q:
        return Q(**{f"{name}__in": [value for value, _ in self.flatchoices]})


class TextSetting(SettingField, models.CharField):
    """Hold a short text; `pattern` is a regular expression for the whole of it."""

    def __init__(
        self,
        *,
        max_length: int,
        default: Any = models.NOT_PROVIDED,
        pattern: str = "",
        pattern_hint: str = "",
        applies: str = LIVE,
        help_text: str = "",
        **kwargs: Any,
    ) -> None:
        self.applies, self.pattern, self.pattern_hint = applies, pattern, pattern_hint
        if pattern:
            message = f"Must be {pattern_hint or f'of the form {pattern}'}."
            kwargs["validators"] = [RegexValidator(rf"\A(?:{pattern})\Z", message=message)]
        super().__init__(max_length=max_length, default=default, help_text=help_text, **kwargs)

    @property
    def range_text(self) -> str:
        limit = f"up to {self.max_length} characters"
        return f"{self.pattern_hint}, {limit}" if self.pattern_hint else limit
