"""Find the items that cannot be applied, and apply all others in few calls.

A portion that fails is halved; what is whole is applied as it is. With k poison items of n that
takes some 2 k log2(n / k) + 2 k calls. Where every eighth item or more has failed, halving would
cost more than it saves, so the rest goes one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
_MANY = 8


@dataclass(slots=True)
class Isolated(Generic[T]):
    """What came of it: positions and errors of the poison items, results of the others."""

    poison: dict[int, Exception] = field(default_factory=dict)
    results: list[T] = field(default_factory=list)
    calls: int = 0


def isolate(
    count: int,
    apply: Callable[[Sequence[int]], T],
    *,
    errors: tuple[type[Exception], ...],
    given_up: Callable[[Isolated[T]], bool] = lambda _: False,
) -> Isolated[T]:
    """Apply the items at the positions 0 to count - 1, in order, all but the poison ones.

    `apply` applies those at the positions it is given, or none of them and raises one of `errors`,
    which are about the items; what else it raises is passed on. When `given_up` says so, the
    items that are left are neither applied nor poison: their positions miss in both.
    """
    found: Isolated[T] = Isolated()
    waiting = [range(count)] if count else []
    while waiting:
        portion = waiting.pop()
        found.calls += 1
        try:
            found.results.append(apply(portion))
            continue
        except errors as error:
            if len(portion) == 1:
                found.poison[portion[0]] = error
                if given_up(found):
                    break
                continue
        if len(found.poison) * _MANY > count:
            waiting.extend(portion[at : at + 1] for at in reversed(range(len(portion))))
        else:
            middle = len(portion) // 2
            waiting += [portion[middle:], portion[:middle]]
    return found
