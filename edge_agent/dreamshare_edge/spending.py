"""What one agent uses of its owner's day: rounds as they are charged, bytes as they travel.

Rules:
- bytes are noted with each round, at the end, and whenever a megabyte has gathered; what was not
  noted yet counts all the same, and is lost when the process is killed.
"""

from __future__ import annotations

import threading
from typing import Protocol

from dreamshare.clock import Clock
from dreamshare_edge.budgets import Used
from dreamshare_edge.store import FileStore

NOTED_BYTES = 1 << 20
"""Bytes that gather before they are noted between rounds."""


class Traffic(Protocol):
    """Running counts of application bytes, frames included."""

    @property
    def bytes_sent(self) -> int:
        """Bytes that went to the aggregator."""
        ...

    @property
    def bytes_received(self) -> int:
        """Bytes that came from it."""
        ...


class Spending:
    """The running account of one agent.

    Args:
        store: keeps the ledger.
        traffic: of this process, from 0 when the agent is opened.
        clock: what time it is.
    """

    def __init__(self, store: FileStore, traffic: Traffic, clock: Clock) -> None:
        self._store = store
        self._traffic = traffic
        self._clock = clock
        self._noted = 0
        self._noting = threading.Lock()

    def used(self) -> Used:
        """Return what was used in the last 24 hours."""
        with self._noting:
            noted, fresh = self._store.used_today(self._clock.now()), self._total() - self._noted
        return Used(noted.rounds, noted.bytes + fresh)

    def charge_round(self) -> None:
        """Charge one more round, durably; OSError."""
        self._note(1)

    def settle(self, least: int = 0) -> None:
        """Note the bytes since the last note where they are more than `least`; OSError."""
        if self._total() - self._noted > least:
            self._note(0)

    def _note(self, rounds: int) -> None:
        with self._noting:
            total = self._total()
            self._store.charge(self._clock.now(), rounds, total - self._noted)
            self._noted = total

    def _total(self) -> int:
        return self._traffic.bytes_sent + self._traffic.bytes_received
