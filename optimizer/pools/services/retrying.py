"""Once more, where the connection was lost and the work is safe to repeat."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 3


def retried(using: str = DEFAULT_DB_ALIAS) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function called again when its database connection was lost while it ran.

    Only for work that is safe to repeat: reads, or a transaction of its own. Within a transaction
    that was open before, and for errors that leave the connection whole, it is called once.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def inner(*arguments: P.args, **named: P.kwargs) -> T:
            for _ in range(_TRIES - 1):
                connection = connections[using]
                began_inside = connection.in_atomic_block
                try:
                    return function(*arguments, **named)
                except (OperationalError, InterfaceError):
                    if began_inside or connection.is_usable():
                        raise
                    connection.close()  # the next try has one that works
            return function(*arguments, **named)

        return inner

    return decorate
