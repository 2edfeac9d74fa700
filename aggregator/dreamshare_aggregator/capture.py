"""Everything that the aggregator received, written to a file: a debugging option.

    the line DSCAP1, then per packet: u64 microseconds since 1970, 16 bytes peer, u32 length, bytes

Rules:
- it is a tap of the listeners: what is written is what arrived, packet by packet, before anybody
  looks into it; there is no unmasked mode that could be captured instead;
- the file is new, mode 0600, and readable with `read_capture` after a kill: a torn end is left out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError

_MAGIC = b"DSCAP1\n"
_HEAD = struct.Struct("<Q16sI")


@dataclass(frozen=True, slots=True)
class Captured:
    """One packet that arrived.

    Attributes:
        moment: Unix seconds.
        peer: id that the transport proved, 16 zero bytes where it proved none.
        packet: the bytes.
    """

    moment: float
    peer: bytes
    packet: bytes


class Capture:
    """An open capture file; a tap of `dreamshare.transport.tap`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Create the file; raises ConfigError where it exists or cannot be written."""
        self._clock = clock
        try:
            self._file = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115
        except FileExistsError:
            raise ConfigError(f"{path} exists and would be overwritten; name a new file") from None
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._file.write(_MAGIC)

    def received(self, peer: str, packet: bytes) -> None:
        """Write one packet."""
        moment = round(self._clock.now() * 1_000_000)
        raw = bytes.fromhex(peer) if len(peer) == 32 else bytes(16)
        self._file.write(_HEAD.pack(moment, raw, len(packet)) + packet)

    def sent(self, peer: str, packet: bytes) -> None:
        """Do nothing: what the aggregator sent is not what it received."""

    def close(self) -> None:
        """Flush and close; idempotent."""
        self._file.close()


def read_capture(path: Path) -> Iterator[Captured]:
    """Yield every whole packet of a capture; raises ConfigError on another file."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ConfigError(f"{path} is not a capture of this version")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            moment, peer, length = _HEAD.unpack(head)
            packet = file.read(length)
            if len(packet) < length:
                return
            yield Captured(moment / 1_000_000, peer, packet)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
