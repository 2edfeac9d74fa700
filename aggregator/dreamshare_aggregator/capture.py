"""Everything that the aggregator received, written to a file: a debugging option.

    the line DSCAP1, then per frame: u64 microseconds since 1970, 16 bytes sender, u32 length,
    the bytes

Rules:
- what is written is what arrived: whole frames, header, signature and body, before anybody looks
  into them; there is no unmasked mode that could be captured instead;
- the file is new, mode 0600, and readable with `read_capture` after a kill: a torn end is left out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError

_MAGIC = b"DSCAP1\n"
_HEAD = struct.Struct("<Q16sI")


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame that arrived.

    Attributes:
        moment: Unix seconds.
        sender: id of the party that the connection belongs to.
        frame: the bytes.
    """

    moment: float
    sender: bytes
    frame: bytes


class Capture:
    """An open capture file."""

    def __init__(self, path: Path) -> None:
        """Create the file; raises ConfigError where it exists or cannot be written."""
        try:
            self._file = open(path, "xb", opener=_private)  # noqa: SIM115
        except FileExistsError:
            raise ConfigError(f"{path} exists and would be overwritten; name a new file") from None
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._file.write(_MAGIC)

    def __call__(self, sender: bytes, frame: bytes, now: float) -> None:
        """Write one frame."""
        self._file.write(_HEAD.pack(round(now * 1_000_000), sender, len(frame)) + frame)

    def close(self) -> None:
        """Flush and close; idempotent."""
        self._file.close()


def read_capture(path: Path) -> Iterator[Captured]:
    """Yield every whole frame of a capture; raises ConfigError on another file."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ConfigError(f"{path} is not a capture of this version")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            moment, sender, length = _HEAD.unpack(head)
            frame = file.read(length)
            if len(frame) < length:
                return
            yield Captured(moment / 1_000_000, sender, frame)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
