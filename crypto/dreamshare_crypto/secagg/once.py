"""Work on public bytes that many devices of one process would each do, done once.

    once = Once.shared()
    clients = [SecaggClient(..., once=once) for ... in ...]   # a simulation, a benchmark

Rules:
- a device in the field does everything itself: `Once()` remembers nothing and is the default;
- what is shared is a function of the bytes that name it, and of nothing else: no secret, no state,
  no time; the name holds every input, so that one device's result is any other's;
- only success is remembered: who is refused finds out for itself, and with its own words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from dreamshare_crypto.secagg.epoch_messages import Roster
from dreamshare_crypto.secagg.session import Session

T = TypeVar("T")

_MOST = 64


class Memo(Generic[T]):
    """Results of one kind by the bytes that they follow from. Begins anew when it is full."""

    __slots__ = ("_done", "_most")

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._done: dict[bytes, T] = {}

    def of(self, about: tuple[bytes, ...], work: Callable[[], T]) -> T:
        """Return `work()`, a function of the bytes `about` alone; raises what it raises.

        Threads that ask for one thing at the same time may both do it.
        """
        if not self._most:
            return work()
        done, key = self._done, _name(about)
        if key in done:
            return done[key]
        result = work()
        if len(done) >= self._most:
            self._done = done = {}
        done[key] = result
        return result


def _name(about: tuple[bytes, ...]) -> bytes:
    name = hashlib.sha256()
    for part in about:
        name.update(len(part).to_bytes(8, "little"))
        name.update(part)
    return name.digest()


@dataclass(frozen=True, slots=True)
class Once:
    """What devices find out from public bytes.

    Attributes:
        rosters: of their bytes.
        proven: the seconds within which a roster's entries hold.
        sessions: of an offer, a roster and, in profile K, a seed.
        quorums: that one holds for a set of survivors.
    """

    rosters: Memo[Roster] = field(default_factory=Memo)
    proven: Memo[range] = field(default_factory=Memo)
    sessions: Memo[Session] = field(default_factory=Memo)
    quorums: Memo[None] = field(default_factory=Memo)

    @classmethod
    def shared(cls) -> Self:
        """Return one for the devices of a process, which remembers."""
        return cls(Memo(_MOST), Memo(_MOST), Memo(_MOST), Memo(_MOST))
