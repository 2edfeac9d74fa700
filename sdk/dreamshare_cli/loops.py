"""Which event loop a long-running command uses: uvloop where it is installed and wanted.

Rules: nothing depends on it but processor time, so an installation without uvloop is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple


class Loop(NamedTuple):
    """An event loop to run on.

    Attributes:
        name: "uvloop" or "asyncio", for the log.
        why: why it is not uvloop, for the log; "" where it is.
        factory: for `asyncio.Runner`.
    """

    name: str
    why: str
    factory: Callable[[], asyncio.AbstractEventLoop]


def choose_loop(*, uvloop_wanted: bool) -> Loop:
    """Return uvloop where it is wanted and installed, asyncio's own loop otherwise."""
    if not uvloop_wanted:
        return Loop("asyncio", "uvloop is switched off", asyncio.new_event_loop)
    if find_spec("uvloop") is None:
        return Loop("asyncio", "uvloop is not installed", asyncio.new_event_loop)
    from uvloop import new_event_loop

    return Loop("uvloop", "", new_event_loop)
