"""Pools over HTTP: how they stand, and what is done to them."""

from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from ninja import Path, Router

from optimizer.control.problems import Problem
from optimizer.pools import selectors
from optimizer.pools.schemas import DetailOut, PoolOut, SuspendIn
from optimizer.pools.selectors.advice import advice_of
from optimizer.pools.services import operating

router = Router()
P = ParamSpec("P")
T = TypeVar("T")
Alias = Annotated[str, Path(min_length=1, max_length=48, examples=["default"])]


@router.get("", response=list[PoolOut], summary="All pools")
def list_pools(request: HttpRequest) -> Any:
    """Tell how every pool stands, summed over the living processes."""
    found, _ = _try(selectors.every)
    return [PoolOut.of(one) for one in found]


@router.get("/{alias}", response=DetailOut, summary="A pool")
def get_pool(request: HttpRequest, alias: Alias) -> Any:
    """Tell how a pool stands by process, what its server takes, and how large it should be."""
    return _detail(alias)


@router.post("/{alias}/recycle", response=DetailOut, summary="Replace all connections")
def recycle(request: HttpRequest, alias: Alias) -> Any:
    """Replace idle connections now and the others as they come back, in every process.

    After a failover or a change of credentials; no call fails. A revision of the settings.
    """
    _try(operating.recycle, alias)
    return _detail(alias)


@router.post("/{alias}/suspend", response=DetailOut, summary="Suspend a pool")
def suspend(request: HttpRequest, alias: Alias, payload: SuspendIn) -> Any:
    """Have callers wait for a while, as during a failover; a revision of the settings."""
    _try(operating.suspend, alias, payload.seconds)
    return _detail(alias)


@router.post("/{alias}/resume", response=DetailOut, summary="Resume a pool")
def resume(request: HttpRequest, alias: Alias) -> Any:
    """End a suspension; a revision of the settings."""
    _try(operating.resume, alias)
    return _detail(alias)


def _detail(alias: str) -> Any:
    found = _try(selectors.find, alias)
    if found is None:
        raise _unknown(alias)
    return DetailOut.with_advice(found, advice_of(found))


def _try(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a service; its errors, and the database away, become problems."""
    try:
        return function(*arguments, **named)
    except operating.UnknownPool as error:
        raise _unknown(str(error)) from error
    except ValidationError as error:
        raise Problem.from_fields(error.message_dict) from error
    except (OperationalError, InterfaceError) as error:
        raise Problem(
            503,
            "The database is away",
            type="temporary-reduced-capacity",
            detail="Try again.",
            headers={"Retry-After": "1"},
        ) from error


def _unknown(alias: str) -> Problem:
    return Problem(404, "No such pool", type="unknown-pool", detail=f"No pool is called {alias!r}.")
