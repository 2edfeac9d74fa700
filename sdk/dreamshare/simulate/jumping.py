"""Time that jumps to the next deadline when nothing else is left to do.

An event loop asks its selector to wait only when no callback is ready. In a simulation nothing
comes from outside, so that is the moment at which the manual clock may move.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import NoReturn

from dreamshare.clock import ManualClock
from dreamshare.errors import DreamshareError

STALL_S = 3600.0
"""Simulated seconds without progress after which a run counts as stalled."""


class SimulationStalled(DreamshareError):
    """Nothing more can happen: for example, fewer devices are left than the cohort needs."""


class JumpingSelector(selectors.DefaultSelector):
    """A selector that moves a clock instead of waiting."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self._progress = clock.now()
        self._stalled: asyncio.Future[None] | None = None

    def progress(self) -> None:
        """Something worth waiting for has happened."""
        self._progress = self._clock.now()

    async def until_stalled(self) -> NoReturn:
        """Wait for the moment at which nothing more can happen, and raise SimulationStalled."""
        self._stalled = asyncio.get_running_loop().create_future()
        await self._stalled
        raise SimulationStalled(
            "nothing more can happen in this simulation: no progress in "
            f"{STALL_S:.0f} simulated seconds; are enough devices left for the cohort?"
        )

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._jump()
        return super().select(0)

    def _jump(self) -> None:
        wake = self._clock.next_wake
        stalled = wake is None or wake > self._progress + STALL_S
        if stalled and self._stalled is not None and not self._stalled.done():
            self._stalled.set_result(None)
        elif wake is not None:
            self._clock.advance_to(wake)
