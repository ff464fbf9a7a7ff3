"""Whose code asks: the user's lines on the stack, and what Django was doing there.

Nothing of Django is patched: its own frames tell which relation, field or method a query is for.
`key_of` is the hot path; what it tells apart is read into words once, by `caller_of`.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import asgiref.sync
import celery.app.trace
import django.core.handlers.base
import django.core.management.base
import django.template.base
from asgiref.sync import SyncToAsync
from django.core.handlers.base import BaseHandler
from django.core.management.base import BaseCommand
from django.template.base import Node

_RENDER = Node.render_annotated.__code__
_HANDLE, _HANDLE_INNER, _HANDLE_ASYNC, _HANDLE_INNER_ASYNC = (
    getattr(BaseHandler, name).__code__
    for name in ("get_response", "_get_response", "get_response_async", "_get_response_async")
)
_IN_THREAD = SyncToAsync.thread_handler.__code__
_COMMAND = BaseCommand.execute.__code__
_TRACE = celery.app.trace.__file__
MAX_SITES = 4  # of the user's frames: enough to tell callers of a helper apart
_MAX_LINES = 10_000
_MAX_GUESSES = 10_000
_MAX_DISTANCES = 4
_MAX_CHECKS = 24
_MAX_BEYOND = 40  # frames that are looked at beyond the user's innermost
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FOREIGN, _USER, _LANDMARK, _MODELS = 0, 1, 2, 3
# By file name: the user's, a library's, Django's models and templates, or one with functions that
# mean something.
_kinds: dict[str, int] = {
    str(module.__file__): _LANDMARK
    for module in (
        asgiref.sync,
        celery.app.trace,
        django.core.handlers.base,
        django.core.management.base,
        django.template.base,
    )
}

Site = tuple[CodeType, int]  # a code object and a line in it
Stack = tuple[Site, ...]
Key = tuple[Any, ...]


def _foreign_folders() -> tuple[str, ...]:
    paths = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = {os.path.dirname(str(one.__file__)) for one in (django, asgiref, celery)}
    return tuple(os.path.join(os.path.abspath(one), "") for one in paths | packages)


_FOREIGN_FOLDERS = _foreign_folders()
_MODELS_FOLDERS = tuple(
    os.path.join(os.path.dirname(django.__file__), name, "") for name in ("db", "template")
)


def is_user_file(path: str) -> bool:
    """Say whether a file is the project's own: neither a library's nor the optimizer's."""
    return (_kinds.get(path) if path in _kinds else _kind_of(path)) == _USER


def _kind_of(path: str) -> int:
    full = os.path.abspath(path)
    foreign = (
        path.startswith("<")
        or full.startswith(_FOREIGN_FOLDERS)
        or full.startswith(os.path.join(_OWN, ""))
        or f"{os.sep}site-packages{os.sep}" in full
    )
    kind = _FOREIGN if foreign else _USER
    if full.startswith(_MODELS_FOLDERS):
        kind = _MODELS
    _kinds[path] = kind
    return kind


@dataclass(slots=True)
class Caller:
    """Who asks: the user's sites from the innermost outward, of a recursion each function once.

    `node` is the template's node that is being rendered below the innermost site.
    """

    stack: Stack = ()
    node: Any = None


@dataclass(slots=True)
class _Guess:
    """Where on the stack a statement's caller was the last time.

    `checks` are the frames that must be there again, each by its distance from the query, its code
    and its instruction: the user's, the libraries' between, and where the user's work begins. Of
    Django's models and templates only the outermost is looked at: what they do for one statement
    and one node, they do in one way.
    """

    distance: int = 0  # of the user's innermost frame
    checks: list[tuple[int, CodeType, int]] = field(default_factory=list)
    key: Key = ()
    node: int = 0  # the distance of the frame that renders a template's node, 0 for none


_distances: dict[str, tuple[int, ...]] = {}  # by statement
_guesses: dict[tuple[str, int, int], _Guess] = {}  # by statement, the user's code and instruction


def key_of(sql: str, awaiting: Key | None = None, *, skip: int = 1) -> Key:
    """Return what tells a caller from others; `awaiting` is the coroutine's, where it sent us.

    The key has the lines of the user's frames, the way through the libraries between (two calls of
    one line that go other ways differ), and the template's node. `skip` is how many frames the
    optimizer's own are.

    A statement comes mostly from where it came before: then a few frames are looked at, without
    Python making an object of each frame between, which is what takes the time.
    """
    get = sys._getframe
    try:
        for inner in _distances.get(sql, ()):
            frame = get(inner + skip)
            guess = _guesses.get((sql, id(frame.f_code), frame.f_lasti))
            if guess is None or guess.distance != inner:
                continue
            for distance, code, instruction in guess.checks:
                frame = get(distance + skip)
                if frame.f_code is not code or frame.f_lasti != instruction:
                    break
            else:
                if not guess.node:
                    return guess.key
                return (*guess.key, _node_key(get(guess.node + skip).f_locals.get("self")))
    except ValueError:  # the stack is not so deep
        pass
    return _walk(get(skip + 1), sql, awaiting)


def place_of(frame: FrameType) -> Key:
    """Return the key of a frame that waits for others."""
    return _walk(frame, "", None)


def _walk(frame: FrameType | None, sql: str, awaiting: Key | None) -> Key:
    """Walk outward from the query, and remember what was met."""
    kinds = _kinds
    guess = _Guess()
    inner: FrameType | None = None
    node: Any = None
    key: list[Any] = []
    way, found, left, distance = 0, 0, _MAX_BEYOND, 1
    while frame is not None:
        code = frame.f_code
        kind = kinds.get(code.co_filename)
        if kind is None:
            kind = _kind_of(code.co_filename)
        if kind == _USER:
            if not found:
                key, guess.distance = [way], distance
                if inner is not None:
                    guess.checks.append((distance - 1, inner.f_code, inner.f_lasti))
            guess.checks.append((distance, code, frame.f_lasti))
            if id(code) not in key:  # of a recursion each function once
                key += (id(code), _line_of(code, frame.f_lasti))
                found += 1
                if found == MAX_SITES:
                    break
        elif kind == _LANDMARK and _ends(code):
            break
        elif found:
            left -= 1
            if not left:
                break
        else:
            if code is _RENDER and node is None:
                node, guess.node = frame.f_locals.get("self"), distance
            elif code is _IN_THREAD and awaiting is not None:
                return awaiting
            if kind != _MODELS:
                guess.checks.append((distance, code, frame.f_lasti))
            way = (way ^ id(code)) * 31 + frame.f_lasti & 0xFFFFFFFFFFFFFF
        inner, frame, distance = frame, frame.f_back, distance + 1
    if not found:
        return (way, _node_key(node))
    end = frame or inner  # where the walk ended must be there again, too
    if end is not None:
        guess.checks.append((distance - (frame is None), end.f_code, end.f_lasti))
    guess.key = tuple(key)
    if sql and len(guess.checks) < _MAX_CHECKS:
        _remember(sql, guess)
    return (*guess.key, _node_key(node)) if guess.node else guess.key


def _remember(sql: str, guess: _Guess) -> None:
    if len(_guesses) >= _MAX_GUESSES:  # raw SQL with values in it has no end of texts
        _guesses.clear()
        _distances.clear()
    _, code, instruction = next(one for one in guess.checks if one[0] == guess.distance)
    _guesses[sql, id(code), instruction] = guess
    others = [one for one in _distances.get(sql, ()) if one != guess.distance]
    _distances[sql] = (guess.distance, *others[: _MAX_DISTANCES - 1])


_lines: dict[int, tuple[CodeType, dict[int, int]]] = {}  # with the code, so that it stays itself


def _line_of(code: CodeType, instruction: int) -> int:
    """Return the line of an instruction: Python looks for it from the function's beginning."""
    known = _lines.get(id(code))
    if known is None:
        if len(_lines) >= _MAX_LINES:
            _lines.clear()
        known = _lines[id(code)] = (code, {})
    line = known[1].get(instruction)
    if line is None:
        for start, end, found in code.co_lines():
            if start <= instruction < end:
                line = found
        line = known[1][instruction] = line or code.co_firstlineno
    return line


def _ends(code: CodeType) -> bool:
    """Say whether the user's work begins below this frame: a request, a task or a command."""
    return (
        code is _HANDLE_INNER
        or code is _HANDLE
        or code is _HANDLE_INNER_ASYNC
        or code is _HANDLE_ASYNC
        or code is _COMMAND
        or code.co_filename == _TRACE
    )


def _node_key(node: Any) -> Any:
    """Return what a node keeps when its template is read again."""
    token, origin = getattr(node, "token", None), getattr(node, "origin", None)
    return (getattr(origin, "name", ""), token.lineno, token.contents) if token else id(node)


def caller_of(frame: FrameType | None, awaiting: Stack = ()) -> Caller:
    """Return who asks; `awaiting` is the coroutine's stack, where a thread works for one."""
    found: list[Site] = []
    seen: set[int] = set()
    caller, left = Caller(), _MAX_BEYOND
    while frame is not None and left:
        code = frame.f_code
        if code is _RENDER:
            if caller.node is None and not found:
                caller.node = frame.f_locals.get("self")
        elif code is _IN_THREAD and awaiting and not found:
            caller.stack = awaiting
            return caller
        elif _kinds.get(code.co_filename) == _LANDMARK and _ends(code):
            break
        if is_user_file(code.co_filename):
            if id(code) not in seen:
                found.append((code, frame.f_lineno))
                if len(found) == MAX_SITES:
                    break
                seen.add(id(code))
        elif found:
            left -= 1
        frame = frame.f_back
    caller.stack = tuple(found)
    return caller


def location_of(site: Site) -> str:
    """Return a site as path:line, from the present folder where it is below it."""
    code, line = site
    path = os.path.abspath(code.co_filename)
    short = os.path.relpath(path)
    return f"{path if short.startswith('..') else short}:{line}"


def django_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames from the query outward to the user's innermost one."""
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            return
        yield frame
        frame = frame.f_back


@dataclass(frozen=True, slots=True)
class TemplateLine:
    """A line of a template that is being rendered."""

    name: str
    line: int
    is_users: bool = True  # else it is a library's, or made from a string

    def __str__(self) -> str:
        return f"{self.name}:{self.line}"


def template_line(node: Any) -> TemplateLine | None:
    """Return where a template's node stands."""
    token, origin = getattr(node, "token", None), getattr(node, "origin", None)
    if token is None or origin is None:
        return None
    name = str(origin.template_name or origin.name)
    return TemplateLine(name, token.lineno, is_user_file(str(origin.name)))
