"""Private files: JSON that only its owner may read, replaced atomically and parsed strictly.

Rules:
- written to a new file of mode 0600 beside the target, synced, then renamed over it: a crash leaves
  the old file or the new one;
- a file that group or others may read is refused, because its keys must be taken for known;
- every field has one type and length, none may be missing or extra; whatever is wrong is one
  ParameterError that names the file and says what to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from dreamshare_crypto.errors import ParameterError

Json: TypeAlias = "str | int | Sequence[Json] | Mapping[str, Json]"
"""What private files hold. Bytes are written as hex."""

_MOST_BYTES = 2**26


class Document:
    """One JSON object of a private file; each getter takes its field, `end` insists on no more."""

    __slots__ = ("_fields", "_where")

    def __init__(self, fields: object, where: str) -> None:
        if not isinstance(fields, dict):
            raise ParameterError(f"{where} is not a JSON object; restore it from a copy")
        self._fields: dict[str, object] = dict(fields)
        self._where = where

    def text(self, name: str) -> str:
        """Take a string."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self.broken(f"field {name!r} is not a string")
        return value

    def integer(self, name: str) -> int:
        """Take an integer, not negative."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.broken(f"field {name!r} is not a whole number")
        return value

    def raw(self, name: str, length: int | None = None) -> bytes:
        """Take bytes written as hex; with `length`, insist on that many."""
        return self._bytes(name, self.text(name), length)

    def raws(self, name: str) -> tuple[bytes, ...]:
        """Take a list of bytes written as hex."""
        return tuple(self._bytes(name, item, None) for item in self._list(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of strings."""
        items = self._list(name)
        if not all(isinstance(item, str) for item in items):
            raise self.broken(f"field {name!r} is not a list of strings")
        return tuple(str(item) for item in items)

    def documents(self, name: str) -> tuple[Document, ...]:
        """Take a list of objects."""
        return tuple(Document(item, f"{self._where}, {name}") for item in self._list(name))

    def end(self) -> None:
        """Insist that every field was taken."""
        if self._fields:
            raise self.broken(f"unknown fields {sorted(self._fields)}; a newer version wrote it?")

    def broken(self, what: str) -> ParameterError:
        """Return the error that says `what` is wrong with this file."""
        return ParameterError(f"{self._where} cannot be used: {what}; restore it from a copy")

    def _take(self, name: str) -> object:
        if name not in self._fields:
            raise self.broken(f"field {name!r} is missing")
        return self._fields.pop(name)

    def _list(self, name: str) -> list[object]:
        value = self._take(name)
        if not isinstance(value, list):
            raise self.broken(f"field {name!r} is not a list")
        return value

    def _bytes(self, name: str, value: object, length: int | None) -> bytes:
        try:
            raw = bytes.fromhex(value) if isinstance(value, str) else None
        except ValueError:
            raw = None
        if raw is None or (length is not None and len(raw) != length):
            raise self.broken(f"field {name!r} is not {length or 'some'} bytes in hex")
        return raw


def write_private(path: Path, fields: Mapping[str, Json]) -> None:
    """Replace `path` by these fields as JSON, mode 0600, durable on return.

    Raises:
        ParameterError: the file cannot be written; the text says why.
    """
    replace_private(path, encode_private(fields))


def encode_private(fields: Mapping[str, Json]) -> bytes:
    """Return what `write_private` writes, for whoever seals it first."""
    return (json.dumps(fields, indent=1) + "\n").encode()


def replace_private(path: Path, data: bytes) -> None:
    """Replace `path` by these bytes, mode 0600, durable on return; ParameterError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()  # left over by a process of the same number that was killed
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise ParameterError(f"cannot write {path}: {error.strerror}") from error


def read_private(path: Path) -> Document:
    """Return the fields of a file that `write_private` wrote.

    Raises:
        ParameterError: missing, readable by others, too large, or not JSON; the text says which.
    """
    return document_of(read_private_bytes(path), str(path))


def document_of(data: bytes, where: str) -> Document:
    """Return the fields of what `encode_private` made; ParameterError where it is not JSON."""
    try:
        fields = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise ParameterError(f"{where} is not JSON; restore it from a copy") from None
    return Document(fields, where)


def read_private_bytes(path: Path) -> bytes:
    """Return the content of a private file; ParameterError as `read_private`, JSON or not."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise ParameterError(f"there is no file {path}; `dreamshare enrol` makes one") from None
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}") from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ParameterError(
            f"{path} holds private keys and others may read it (mode {stat.S_IMODE(mode):04o}): "
            f"if nobody did, `chmod 600 {path}`; else revoke and enrol again"
        )
    if len(data) > _MOST_BYTES:
        raise ParameterError(f"{path} is too large to be one of our files")
    return data


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return  # elsewhere directories cannot be opened, and renames are synchronous
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
