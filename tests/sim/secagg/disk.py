"""A device's disk that can fail at every write: what was not synced may be lost (9.1, 9.6).

Rules:
- a record written with `sync` makes everything before it durable too, as one file does;
- a key slot is replaced or destroyed as a whole: after a crash it is the old one or the new one;
- a torn tail is a record that is not there: a reader cuts it off.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from dreamshare_crypto.secagg.events import ClientEffect, Forget, Keep, Persist, Record
from dreamshare_crypto.secret import Secret


class When(Enum):
    """How far a write got when the process died."""

    BEFORE = "before"  # nothing of it is there, or a torn tail only
    AFTER = "after"  # it is durable, nothing after it happened
    LATER = "later"  # one effect more was carried out


@dataclass(frozen=True, slots=True)
class Fuse:
    """The process dies at its `writes`-th write from now (1 is the next).

    Attributes:
        writes: 1 or more.
        when: how far that write gets.
        keeps: whether records that were written without sync survive by luck.
    """

    writes: int
    when: When
    keeps: bool


class Died(Exception):
    """The process is gone."""


@dataclass
class Disk:
    """What one device has on disk, and what the operating system only promised."""

    records: list[Record] = field(default_factory=list)
    slots: dict[str, Secret] = field(default_factory=dict)
    unsynced: list[Record] = field(default_factory=list)
    fuse: Fuse | None = None

    def carry_out(self, effect: ClientEffect) -> bool:
        """Carry a write out; say whether this effect, write or not, is the last one (`LATER`).

        Raises:
            Died: the fuse ended here.
        """
        fuse = self.fuse
        writes = isinstance(effect, Persist | Keep | Forget)
        if fuse is None or (fuse.writes > 1 and not writes):
            self._write(effect)
            return False
        if fuse.writes == 0:  # one effect after the write that LATER counted
            self._write(effect)
            return True
        if not writes:
            return False
        self.fuse = replace(fuse, writes=fuse.writes - 1)
        if fuse.writes == 1 and fuse.when is When.BEFORE:
            raise Died
        self._write(effect)
        if fuse.writes == 1 and fuse.when is When.AFTER:
            raise Died
        return False

    def crash(self) -> None:
        """Lose what was never synced, unless luck keeps it."""
        if self.fuse is not None and self.fuse.keeps:
            self.records += self.unsynced
        self.unsynced.clear()
        self.fuse = None

    @property
    def readable(self) -> list[Record]:
        """Every record that a running process would read back."""
        return [*self.records, *self.unsynced]

    def _write(self, effect: ClientEffect) -> None:
        match effect:
            case Persist(record, sync):
                self.unsynced.append(record)
                if sync:
                    self.records += self.unsynced
                    self.unsynced.clear()
            case Keep(slot, secret):
                self.slots[slot] = secret
            case Forget(slot):
                self.slots.pop(slot, None)
            case _:
                pass
