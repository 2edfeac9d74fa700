"""One call of one function, with every way in which it can end made a value."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from dreamshare.engine.batches import A, C, Failed, Finished, Function, R, Reason
from dreamshare.errors import DreamshareError


class GivenUp(BaseException):
    """Raised where a piece tells something in a batch that was given up; no business of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """A `Site` that passes on what it is told."""

    place: int
    tell: Callable[[str], None]


def call(
    function: Function[C, A, R], common: C, piece: int, argument: A, site: Place
) -> Finished[R] | Failed:
    """Call and return what became of it."""
    try:
        return Finished(piece, function(common, argument, site))
    except DreamshareError as error:
        return failed(piece, Reason.REFUSED, error)
    except Exception as error:  # noqa: BLE001 - a worker's border: whatever it is becomes a value
        return failed(piece, Reason.RAISED, error)


def failed(piece: int, reason: Reason, error: Exception) -> Failed:
    """Return the failure that an error means."""
    trace = "".join(traceback.format_exception(error))
    return Failed(piece, reason, type(error).__name__, str(error), trace)


def lost(piece: int, retries: int, words: str, kind: str = "") -> Failed:
    """Return the failure of a piece whose worker died, and those that tried again."""
    times = f", {retries + 1} times; the last one" if retries else ""
    return Failed(piece, Reason.LOST, kind, f"its worker died{times}: {words}")


def resolved(name: str) -> Callable[..., object]:
    """Return the function "package.module:function".

    Raises:
        ImportError: there is none here.
    """
    module, _, attribute = name.partition(":")
    found: object = getattr(import_module(module), attribute, None)
    if not callable(found):
        raise ImportError(f"{module} has no function {attribute}: are all machines of one version?")
    return found


def unsendable(piece: int, what: str, error: Exception) -> Failed:
    """Return the failure of a piece whose argument or result cannot be sent."""
    text = f"its {what} cannot be sent: {error}"
    return Failed(piece, Reason.UNSENDABLE, type(error).__name__, text)
