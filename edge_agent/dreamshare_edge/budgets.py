"""What a device has used in the last 24 hours: rounds and bytes, over restarts and clock jumps.

Record of the ledger: f64 book time, f64 wall time, f64 uptime (seconds), u64 rounds, u64 bytes,
16 bytes of boot id; little-endian. A record of eight bytes, of earlier releases, is one round at
that wall time.

Rules:
- the book has a clock of its own. Within one boot it runs with the kernel's uptime, whatever
  happens to the wall clock; over a reboot it goes on by what the wall clock says has passed, and
  by nothing where that was set back;
- so a clock that jumps forward while the device runs buys no round, and one that was wrong (a board
  without a battery for its clock begins in 1970) locks nobody out for more than a day;
- a record is durable before what it pays for is computed.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare_edge.log import AppendLog, DamagedLog

DAY_S = 86_400.0
_RECORD = struct.Struct("<dddQQ16s")
_EARLIER = struct.Struct("<d")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Used:
    """What was used in 24 hours: rounds that were answered, bytes sent and received."""

    rounds: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """How long the machine has been running.

    Attributes:
        boot: 16 bytes that differ from boot to boot; all zero where the machine names none.
        seconds: since then, time asleep included.
    """

    boot: bytes
    seconds: float


Uptime = Callable[[], Running]
"""Says how long the machine has been running."""


def uptime_of_boot() -> Running:
    """Return what the kernel says; without an id of the boot, the wall clock has to do."""
    try:
        boot = bytes.fromhex(_BOOT_ID.read_text(encoding="ascii").strip().replace("-", ""))
        return Running(boot, time.clock_gettime(time.CLOCK_BOOTTIME))
    except (OSError, ValueError, AttributeError):
        return Running(bytes(16), 0.0)


@dataclass(frozen=True, slots=True)
class _Entry:
    at: float  # book time
    wall: float
    uptime: float
    used: Used
    boot: bytes


class DayBook:
    """The ledger of one device.

    Args:
        log: where it is kept; its owner closes it.
        uptime: of this machine.

    Raises:
        DamagedLog: the log holds something else.
    """

    def __init__(self, log: AppendLog, uptime: Uptime = uptime_of_boot) -> None:
        self._log = log
        self._uptime = uptime
        self._last: _Entry | None = None
        self._ahead: float | None = None  # book time less `now`, in this process
        self._recent: deque[_Entry] = deque()
        self._entering = threading.Lock()  # several tasks may be computed at once
        for entry in _entries(log):
            self._last = entry
            self._keep(entry)

    def wake(self, now: float) -> None:
        """Note that the book goes on at `now`, durably; OSError."""
        if self._last is not None:
            self.enter(now, 0, 0)

    def enter(self, now: float, rounds: int, used_bytes: int) -> None:
        """Note what was used up to `now` (Unix seconds), durably; OSError."""
        with self._entering:
            running = self._uptime()
            used = Used(rounds, used_bytes)
            entry = _Entry(self._at(now), now, running.seconds, used, running.boot)
            fields = (entry.at, entry.wall, entry.uptime, rounds, used_bytes, entry.boot)
            self._log.append(_RECORD.pack(*fields), sync=True)
            self._last = entry
            self._keep(entry)

    def used(self, now: float) -> Used:
        """Return what was used in the 24 hours up to `now`."""
        since = self._at(now) - DAY_S
        recent = [entry.used for entry in tuple(self._recent) if entry.at >= since]
        return Used(sum(u.rounds for u in recent), sum(u.bytes for u in recent))

    def _keep(self, entry: _Entry) -> None:
        while self._recent and self._recent[0].at < entry.at - DAY_S:
            self._recent.popleft()
        self._recent.append(entry)

    def _at(self, now: float) -> float:
        """Return the book's time; the agent's clock does not jump within a process."""
        if self._ahead is None:
            self._ahead = self._resumed(now) - now
        return now + self._ahead

    def _resumed(self, now: float) -> float:
        last = self._last
        if last is None:
            return now
        running = self._uptime()
        same_boot = any(running.boot) and running.boot == last.boot
        passed = running.seconds - last.uptime if same_boot else now - last.wall
        return last.at + max(0.0, passed)


def _entries(log: AppendLog) -> Iterator[_Entry]:
    for raw in log.read():
        match len(raw):
            case _EARLIER.size:
                (wall,) = _EARLIER.unpack(raw)
                yield _Entry(wall, wall, 0.0, Used(1), bytes(16))
            case _RECORD.size:
                at, wall, uptime, rounds, used_bytes, boot = _RECORD.unpack(raw)
                yield _Entry(at, wall, uptime, Used(rounds, used_bytes), boot)
            case _:
                raise DamagedLog(f"the ledger holds a record of {len(raw)} bytes")
