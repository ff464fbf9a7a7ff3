"""Errors of the batch processor, by whose fault they are."""

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError


class BatchError(Exception):
    """What callers of submit() and the like may get."""


class UnknownJob(BatchError):
    """No admin has made a job of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no batch job {name!r}")
        self.name = name


class BadItem(BatchError):
    """An item that no job could take; `index` is its place in the call."""

    def __init__(self, index: int, field: str, message: str) -> None:
        super().__init__(f"items[{index}].{field}: {message}")
        self.index, self.field, self.message = index, field, message


class JobFull(BatchError):
    """The job is past its high-water mark."""

    def __init__(self, name: str, retry_after_seconds: int) -> None:
        super().__init__(f"the job {name!r} is full; try again in {retry_after_seconds} s")
        self.name, self.retry_after_seconds = name, retry_after_seconds


class TooMany(BatchError):
    """More items in a call than the job may have waiting at all: it never has room for them."""

    def __init__(self, name: str, count: int, most: int) -> None:
        super().__init__(f"{count} items at once are more than {name!r} has room for, {most}")
        self.name, self.most = name, most


class Again(Exception):
    """A handler or a sink asks for another attempt later: nothing is wrong with the items.

    `after_seconds` is the least wait that the other side asks for.
    """

    def __init__(self, message: str = "", *, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Poison(Exception):
    """A portion that cannot be applied because of an item in it; the cause says why."""


class Misconfigured(Exception):
    """A job whose settings do not fit the project (any more); no item is to blame."""


# About the items: to isolate by halving.
DATA_ERRORS = (IntegrityError, DataError, ValidationError, Poison)
# About the world: to try again, the items being as they are.
TRANSIENT_ERRORS = (OperationalError, InterfaceError, OSError, Again)


def describe(error: BaseException) -> tuple[str, str]:
    """Return an error's type and text as admins shall read them."""
    if isinstance(error, Poison) and error.__cause__ is not None:
        error = error.__cause__
    text = "; ".join(_messages(error)) or type(error).__name__
    # No database stores NULs or lone surrogates, which a file's name may bring along.
    text = text.replace("\0", "").encode("utf-8", "backslashreplace").decode()
    return type(error).__name__, text[:1000]


def _messages(error: BaseException) -> list[str]:
    if isinstance(error, ValidationError):
        if hasattr(error, "error_dict"):
            return [
                f"{field}: {' '.join(says)}" for field, says in sorted(error.message_dict.items())
            ]
        return list(error.messages)
    return [line.strip() for line in str(error).splitlines() if line.strip()]
