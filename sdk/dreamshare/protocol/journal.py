"""The seam to durable storage: one journal per task, on either side (docs/protocol.md, section 9).

Rules:
- what `append(..., sync=True)`, `keep` and `forget` did is durable when they return, and so is
  everything appended before;
- a torn last record is dropped when the journal is opened, never repaired (9.6);
- an anchor holds, outside the journals, how many records a device wrote: an older copy of the
  journals shows by it (9.7). It survives the process and need not survive more;
- key slots are apart from the records: an old value is overwritten and cannot be read back (9.3);
- `MemoryJournal` is public: simulations and tests use it, and `copy()` is what a crash leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dreamshare_crypto.keys import Secret
from dreamshare_crypto.secagg.events import Record


class Journal(Protocol):
    """Append-only records and overwritable key slots of one task."""

    @property
    def blocks(self) -> bool:
        """True where a call may wait for a disk; the driver then calls from a thread."""
        ...

    def append(self, record: Record, sync: bool) -> None:
        """Append a record; raises OSError where the store cannot hold it."""
        ...

    def records(self) -> Sequence[Record]:
        """Return every whole record, oldest first."""
        ...

    def keep(self, slot: str, secret: Secret) -> None:
        """Overwrite the slot; raises OSError where the store cannot hold it."""
        ...

    def forget(self, slot: str) -> None:
        """Destroy the slot; does nothing where there is none."""
        ...

    def slots(self) -> Mapping[str, Secret]:
        """Return the slots that exist."""
        ...


class Anchor(Protocol):
    """A growing number outside a device's journals; a platform's monotonic counter will do."""

    def read(self) -> int | None:
        """Return the number that was written last, None where nothing survived."""
        ...

    def write(self, number: int) -> None:
        """Replace the number; it outlives this process on return. Raises OSError."""
        ...


class MemoryAnchor:
    """An anchor that lives as long as the object."""

    def __init__(self, number: int | None = None) -> None:
        self._number = number

    def read(self) -> int | None:
        return self._number

    def write(self, number: int) -> None:
        self._number = number


class MemoryJournal:
    """A journal that lives as long as the process."""

    blocks = False

    def __init__(
        self, records: Sequence[Record] = (), slots: Mapping[str, Secret] | None = None
    ) -> None:
        self._records = list(records)
        self._slots = dict(slots or {})

    def append(self, record: Record, sync: bool) -> None:
        self._records.append(record)

    def records(self) -> Sequence[Record]:
        return tuple(self._records)

    def keep(self, slot: str, secret: Secret) -> None:
        self._slots[slot] = secret

    def forget(self, slot: str) -> None:
        self._slots.pop(slot, None)

    def slots(self) -> Mapping[str, Secret]:
        return dict(self._slots)

    def copy(self) -> MemoryJournal:
        """Return what a process would find after a crash at this moment."""
        return MemoryJournal(self._records, self._slots)
