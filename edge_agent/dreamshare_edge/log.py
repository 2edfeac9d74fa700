"""An append-only file of records that survives a kill at any instant.

    log = AppendLog.open(path)
    log.append(b"...", sync=True)          # returns when the record is on the disk
    for payload in log.read(): ...

File: eight bytes of magic, then records. Record: u32 length of the payload, u32
CRC-32 of number and payload, u64 number (1, 2, 3, ...), payload; little-endian.

Rules:
- a record is either wholly there or not there: a torn tail is cut off when the file is opened
  (docs/protocol.md 9.6), and only a tail can be torn;
- damage *before* a record that is whole is not a torn tail: the file is refused, because a journal
  that silently loses its middle would let a device answer twice;
- creating or cutting the file syncs the file and its folder (9.1).
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dreamshare.errors import ConfigError

_MAGIC = b"DSLOG\x00\x01\n"
_HEAD = struct.Struct("<IIQ")
MAX_PAYLOAD = 1 << 30
"""Largest record in bytes; a longer length in a file is damage."""


class DamagedLog(ConfigError):
    """A log is unreadable before its end; using it could repeat what was already answered."""


class AppendLog:
    """One open log; a process opens a file at most once (the store holds a lock)."""

    def __init__(self, path: Path, file: BinaryIO, count: int) -> None:
        """Use `open`; `count` is the number of whole records."""
        self._path = path
        self._file = file
        self._count = count
        self._failed = False

    @classmethod
    def open(cls, path: Path) -> AppendLog:
        """Open or create; cuts a torn tail off.

        Raises:
            DamagedLog: the file is not a log, or is damaged before its last record.
            OSError: the file cannot be read or written.
        """
        new = not path.exists() or path.stat().st_size < len(_MAGIC)
        file = open(path, "w+b" if new else "r+b", opener=_private)  # noqa: SIM115
        try:
            if new:
                file.write(_MAGIC)
                _sync(file)
                sync_folder(path.parent)
                return cls(path, file, 0)
            count, end = _scan(path, file)
            if end < file.seek(0, os.SEEK_END):
                file.truncate(end)
                _sync(file)
            file.seek(end)
        except BaseException:
            file.close()
            raise
        return cls(path, file, count)

    @property
    def count(self) -> int:
        """How many whole records it holds; also the number of the last one."""
        return self._count

    def append(self, payload: bytes, *, sync: bool) -> None:
        """Write a record; with `sync` it is on the disk when this returns.

        Raises:
            OSError: the disk refuses (full, read-only), or refused before: after that nothing is
                written, because half a record may lie at the end until the log is opened again.
        """
        if self._failed:
            raise OSError(f"{self._path} could not be written before; start the agent again")
        if len(payload) > MAX_PAYLOAD:
            raise ConfigError(f"a record of {len(payload)} bytes is over the limit {MAX_PAYLOAD}")
        number = struct.pack("<Q", self._count + 1)
        crc = zlib.crc32(payload, zlib.crc32(number))
        try:
            self._file.write(_HEAD.pack(len(payload), crc, self._count + 1))
            self._file.write(payload)  # apart: joining would copy a vector and hold the process up
            self._file.flush()  # a kill of the process alone loses nothing that was appended
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            self._failed = True
            raise
        self._count += 1

    def read(self) -> Iterator[bytes]:
        """Yield every record from the first on; do not append while iterating."""
        self._file.flush()
        self._file.seek(len(_MAGIC))
        for _ in range(self._count):
            length, _, _ = _HEAD.unpack(self._file.read(_HEAD.size))
            yield self._file.read(length)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Sync and close; idempotent; a log that failed is closed as it is."""
        if self._file.closed:
            return
        with contextlib.suppress(OSError):
            _sync(self._file)
        with contextlib.suppress(OSError):
            self._file.close()


def _scan(path: Path, file: BinaryIO) -> tuple[int, int]:
    """Return the number of whole records and where the last one ends."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise DamagedLog(f"{path} is not a journal of this version; restore or remove its folder")
    count, end = 0, len(_MAGIC)
    while (following := _whole(file, end, size, count + 1)) is not None:
        count, end = count + 1, following
    if _continues(file, end, size, count + 1):
        raise DamagedLog(
            f"{path} is damaged after record {count}, and whole records follow; this device "
            "cannot know what it has answered. Remove the task's folder to join at the next epoch"
        )
    return count, end


def _whole(file: BinaryIO, start: int, size: int, number: int) -> int | None:
    """Return the end of a whole record of this number at `start`, or None."""
    file.seek(start)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, crc, found = _HEAD.unpack(head)
    end = start + _HEAD.size + length
    if found != number or length > MAX_PAYLOAD or end > size:
        return None
    payload = file.read(length)
    return end if zlib.crc32(payload, zlib.crc32(struct.pack("<Q", number))) == crc else None


def _continues(file: BinaryIO, start: int, size: int, number: int) -> bool:
    """Whether the record after a damaged one at `start` is whole, as its length field says."""
    file.seek(start)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return False
    length = _HEAD.unpack(head)[0]
    return _whole(file, start + _HEAD.size + length, size, number + 1) is not None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a file's creation, renaming or removal in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file (mode 0600) so that a kill leaves the old or the new content, durably.

    Raises:
        OSError: the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "wb", opener=_private) as file:
        file.write(content)
        _sync(file)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file (mode 0600) so that a kill leaves the old or the new content; not synced.

    Raises:
        OSError: the storage refuses.
    """
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "wb", opener=_private) as file:
        file.write(content)
    os.replace(temporary, path)
