"""What a device keeps on its disk, in one folder that belongs to one agent at a time.

    store/
      lock                     held (flock) while an agent runs
      ledger                   rounds and bytes, and when; all tasks together (`budgets`)
      memory                   what outlives a task: accepted epochs, answers, privacy charges (9.2)
      tasks/<task id>/journal  records of docs/protocol.md 9.1, one log a task
      tasks/<task id>/slots/   key slots, one 0600 file each, replaced atomically
      kept/<name>              the learner's weights, late answers and other blobs of the shell
      evidence/<n>.json        messages of the aggregator that contradict each other

Rules:
- `FileJournal` is the journal seam of `dreamshare.protocol.journal`: an append with `sync` returns
  after fsync; a slot is overwritten by rename and forgotten by unlink, each with its folder synced;
- key slots are files: what is forgotten is gone from the folder, but a flash disk may keep old
  blocks. The forward chain (9.3), of which only the newest value is kept, makes those useless;
- the store counts its records, over all logs and for good; the count is rewritten in an anchor
  outside the store after each fsync, before the message that waits for it leaves (9.7). A dropped
  task leaves its own count in the memory, so the sum never falls;
- journals and the ledger are written from threads of their own; the count and its anchor are taken
  under one lock, so that neither is ever older than a record that was written before;
- all of it is written with mode 0600 in folders of mode 0700; slots and kept blobs are sealed where
  the device's keys are (`sealing`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.journal import Anchor
from dreamshare_crypto.secagg.events import KeepEvidence, Record, RecordKind
from dreamshare_crypto.secagg.memory import lasting
from dreamshare_crypto.secagg.records import SEED_SLOT
from dreamshare_crypto.secagg.refusals import EpochRefused
from dreamshare_crypto.secagg.rollback import Numbers, check_numbers
from dreamshare_crypto.secagg.vault import CHAIN_SLOT
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.transcript import copied
from dreamshare_edge.anchor import anchor_for
from dreamshare_edge.budgets import DayBook, Uptime, Used, uptime_of_boot
from dreamshare_edge.log import AppendLog, DamagedLog, sync_folder, write_atomically
from dreamshare_edge.sealing import NoSeals, Seals, place_of_kept, place_of_slot

_OPEN = NoSeals()
_SLOT_NAME_LIMIT = 120
LATE = "late-"
"""What names of a task's late answer begin with; it goes with its task."""

_SESSION_SLOTS = (SEED_SLOT, CHAIN_SLOT)
_COUNT = struct.Struct("<Q")


class FileJournal:
    """One task's journal and key slots on the disk."""

    blocks = True

    def __init__(
        self, folder: Path, synced: Callable[[], None] = lambda: None, seals: Seals = _OPEN
    ) -> None:
        """Open or create the journal in `folder`; raises DamagedLog, OSError.

        Args:
            folder: of the task, by whose id it is named.
            synced: called after each record that was synced, before `append` returns.
            seals: of the slots.
        """
        self._synced = synced
        self._seals = seals
        self._task = folder.name
        self._slots = folder / "slots"
        _make_folder(self._slots)
        for leftover in self._slots.glob(".*.new"):
            leftover.unlink()
        self._log = AppendLog.open(folder / "journal")

    def append(self, record: Record, sync: bool) -> None:
        """Append a record; durable on return where `sync`; raises OSError."""
        self._log.append(_pack(record), sync=sync)
        if sync:
            self._synced()

    @property
    def count(self) -> int:
        """How many records it holds."""
        return self._log.count

    def records(self) -> Sequence[Record]:
        """Return every whole record, oldest first; raises DamagedLog on an unknown kind."""
        return [_unpack(raw) for raw in self._log.read()]

    def keep(self, slot: str, secret: Secret) -> None:
        """Replace the slot's content, durably; raises OSError."""
        content = self._seals.closed(place_of_slot(self._task, slot), secret.reveal())
        write_atomically(self._slots / _file_name(slot), content)

    def forget(self, slot: str) -> None:
        """Remove the slot, durably; nothing happens where it does not exist."""
        (self._slots / _file_name(slot)).unlink(missing_ok=True)
        sync_folder(self._slots)

    def slots(self) -> Mapping[str, Secret]:
        """Return every slot's content; raises ConfigError where one cannot be opened."""
        found = ((unquote(path.name), path) for path in sorted(self._slots.iterdir()))
        return {
            slot: Secret(
                self._seals.opened(place_of_slot(self._task, slot), path.read_bytes()), "key slot"
            )
            for slot, path in found
        }

    def close(self) -> None:
        """Sync and close; idempotent."""
        self._log.close()


class FileStore:
    """A device's folder; open one per agent, with `with` or until `close`."""

    def __init__(
        self,
        folder: Path | str,
        anchor: Anchor | Path | None = None,
        uptime: Uptime = uptime_of_boot,
        seals: Seals = _OPEN,
    ) -> None:
        """Open or create.

        Args:
            folder: the device's own.
            anchor: where the count of records is kept once more: a platform's monotonic counter, a
                folder on memory-backed storage, or None for this machine's (`anchor_for`).
            uptime: of this machine; the budgets of a day go by it.
            seals: of key slots and kept blobs: `seals_for` the device's identity file.

        Raises:
            ConfigError: another agent uses the folder, or it or the anchor's cannot be written.
            DamagedLog: a log is damaged.
        """
        self._folder = Path(folder)
        self._seals = seals
        self._journals: dict[TaskId, FileJournal] = {}
        self._counting = threading.RLock()  # of what `_count` adds up, and of the anchor
        self._lock = -1
        with contextlib.ExitStack() as undo:
            undo.callback(self._unlock)
            try:
                _make_folder(self._folder / "tasks")
                _make_folder(self._folder / "kept")
                self._lock = lock_folder(self._folder)
                self._ledger = AppendLog.open(self._folder / "ledger")
                undo.callback(self._ledger.close)
                self._memory = AppendLog.open(self._folder / "memory")
            except OSError as error:
                raise ConfigError(f"cannot use the folder {folder}: {error.strerror}") from None
            undo.callback(self._memory.close)
            undo.callback(self._close_journals)
            self._days = DayBook(self._ledger, uptime)
            self._dropped = sum(map(_dropped_count, self._memory.read()))
            for task in self.tasks():
                self.journal(task)
            if isinstance(anchor, Path) or anchor is None:
                anchor = anchor_for(self._folder, anchor)
            self._anchor = anchor
            self._anchored = anchor.read()
            self._found = self._count()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def tasks(self) -> tuple[TaskId, ...]:
        """Return the tasks that have a journal."""
        found = [p.name for p in (self._folder / "tasks").iterdir() if len(p.name) == 32]
        return tuple(TaskId(bytes.fromhex(name)) for name in sorted(found))

    def journal(self, task: TaskId) -> FileJournal:
        """Return the task's journal, created where there is none; one object per task."""
        with self._counting:
            if task not in self._journals:
                self._journals[task] = FileJournal(
                    self._folder / "tasks" / task.hex(), self._write_anchor, self._seals
                )
            return self._journals[task]

    def drop(self, task: TaskId) -> None:
        """Remove a finished task's journal and slots; what must outlive them is remembered."""
        journal = self.journal(task)
        for record in lasting(journal.records()):
            self._memory.append(_pack(record), sync=False)
        with self._counting:
            self._note_gone(journal.count)
            self._journals.pop(task).close()
        self.discard(LATE + task.hex())
        shutil.rmtree(self._folder / "tasks" / task.hex(), ignore_errors=True)
        sync_folder(self._folder / "tasks")

    def remembered(self) -> Sequence[Record]:
        """Return the records of dropped tasks that a device must not forget (9.2, 13.3)."""
        records = (_unpack(raw) for raw in self._memory.read())
        return lasting(records)

    def begin(self, resume_without_anchor: bool) -> Numbers:
        """Return what this start found in journals and anchor, and rewrite the anchor (9.7).

        Where sessions must end (J1), the keys of every task go first: whatever kills the process
        afterwards, no session of the old copy comes back. The count goes on above the anchor.
        """
        numbers = Numbers(self._found, self._anchored, resume_without_anchor)
        try:
            check_numbers(numbers)
        except EpochRefused:
            for journal in self._journals.values():
                for slot in _SESSION_SLOTS:
                    journal.forget(slot)
            if self._anchored is not None:
                self._note_gone(self._anchored - self._found)
        self._write_anchor()
        return numbers

    def keep_evidence(self, task: TaskId, evidence: KeepEvidence) -> Path:
        """Keep two contradicting signed messages for people; return the file."""
        folder = self._folder / "evidence"
        _make_folder(folder)
        path = folder / f"{len(list(folder.iterdir())) + 1}.json"
        content = {
            "task": task.hex(),
            "code": evidence.code.value,
            "first": evidence.first.hex(),
            "second": evidence.second.hex(),
        }
        write_atomically(path, json.dumps(content, indent=1).encode())
        return path

    def wake(self, now: float) -> None:
        """Take the budgets' clock up where the last process left it, durably; OSError.

        The anchor stays as it is: it is `begin` that decides about sessions first.
        """
        self._days.wake(now)

    def charge(self, now: float, rounds: int = 1, used_bytes: int = 0) -> None:
        """Note durably what was used up to `now` (Unix seconds); OSError."""
        self._days.enter(now, rounds, used_bytes)
        self._write_anchor()

    def used_today(self, now: float) -> Used:
        """Return what was charged in the last 24 hours, all tasks together."""
        return self._days.used(now)

    def save(self, name: str, content: bytes) -> None:
        """Keep a blob under a name, atomically; raises OSError where the disk refuses."""
        sealed = self._seals.closed(place_of_kept(name), content)
        write_atomically(self._folder / "kept" / _file_name(name), sealed)

    def load(self, name: str) -> bytes | None:
        """Return a kept blob, or None; raises ConfigError where it cannot be opened."""
        path = self._folder / "kept" / _file_name(name)
        if not path.exists():
            return None
        return self._seals.opened(place_of_kept(name), path.read_bytes())

    def kept(self, beginning: str) -> tuple[str, ...]:
        """Return the names of kept blobs that begin so, sorted."""
        names = (unquote(path.name) for path in (self._folder / "kept").iterdir())
        return tuple(sorted(name for name in names if name.startswith(beginning)))

    def discard(self, name: str) -> None:
        """Remove a kept blob, durably; nothing happens where there is none."""
        (self._folder / "kept" / _file_name(name)).unlink(missing_ok=True)
        sync_folder(self._folder / "kept")

    def close(self) -> None:
        """Sync and close everything and let go of the folder; idempotent."""
        self._close_journals()
        self._ledger.close()
        self._memory.close()
        self._unlock()

    def _close_journals(self) -> None:
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    def _count(self) -> int:
        journals = sum(journal.count for journal in self._journals.values())
        return journals + self._dropped + self._ledger.count + self._memory.count

    def _note_gone(self, count: int) -> None:
        """Count records durably that are no longer in any log."""
        self._memory.append(_pack(Record(RecordKind.OWNER, _COUNT.pack(count))), sync=True)
        self._dropped += count

    def _write_anchor(self) -> None:
        with self._counting:
            count = self._count()
            if count >= (self._anchored or 0):  # an anchor never falls
                self._anchor.write(count)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _pack(record: Record) -> bytes:
    return b"".join((bytes([record.kind]), record.body))


def _dropped_count(raw: bytes) -> int:
    record = _unpack(raw)
    return _COUNT.unpack(record.body)[0] if record.kind is RecordKind.OWNER else 0


def _unpack(raw: bytes) -> Record:
    try:
        return Record(RecordKind(raw[0]), copied(memoryview(raw)[1:]))
    except (ValueError, IndexError):
        raise DamagedLog("a journal holds a record of an unknown kind") from None


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_folder(folder.parent)


def lock_folder(folder: Path) -> int:
    """Take a store for this process until the handle is closed; ConfigError where it is used."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"another agent uses {folder}; give every agent a store folder of its own"
        ) from None
    return handle


def _file_name(name: str) -> str:
    quoted = quote(name, safe="")
    if not quoted or quoted.startswith(".") or len(quoted) > _SLOT_NAME_LIMIT:
        raise ConfigError(f"{name!r} cannot name a file of the store")
    return quoted
