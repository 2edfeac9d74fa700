"""How late the event loop runs what is due: a probe that measures itself.

Rules: it asks to be called every `EVERY_S` seconds and tells by how much it was late; it costs two
timer calls a second and holds nothing open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

EVERY_S = 0.5


class LoopLag:
    """A probe of the running event loop, as a context manager.

    Args:
        tell: called with the delay in seconds, >= 0.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._arm(asyncio.get_running_loop())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + EVERY_S
        self._timer = loop.call_at(due, self._called, loop, due)

    def _called(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._tell(max(0.0, loop.time() - due))
        self._arm(loop)
