"""Values between an engine and its worker processes: pickled, large arrays beside it in memory.

A parcel on a socket (both ends on one machine, both ours):

    8 bytes   length of the pickle
    8 bytes   number of large buffers
    8 bytes   length of each
    pickle, without the large buffers

With the first byte comes the descriptor of a nameless file that holds the buffers one after the
other, each at a multiple of 64. The receiver maps it and reads it in place: an array is copied
once, by its sender, whoever and how many receive it.

Rules:
- the file has no name, so that nothing is left behind whoever is killed; it lies in memory where
  the system has room for that (`/dev/shm`), else among temporary files;
- arrays that were received are read-only;
- what is unpickled came over a socket that the engine made before it started the worker, never
  from a network.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LARGE_BYTES = 1 << 16
"""Buffers from here on travel beside the pickle."""

_HEAD = struct.Struct("<QQ")
_ALIGN = 64
_SHARED = Path("/dev/shm")  # noqa: S108 - holds nameless files only


class Gone(Exception):
    """The other end was closed."""


class Parcel:
    """A value ready to be sent, any number of times.

    Args:
        value: what is sent.

    Raises:
        Exception: it cannot be pickled; of whatever kind its parts raise.
        OSError: there is no room for its arrays.
    """

    def __init__(self, value: object) -> None:
        large: list[memoryview] = []

        def keep(buffer: pickle.PickleBuffer) -> bool:
            """Return whether the buffer belongs into the pickle."""
            raw = buffer.raw()
            if raw.nbytes < LARGE_BYTES:
                return True
            large.append(raw)
            return False

        data = pickle.dumps(value, protocol=5, buffer_callback=keep)
        sizes = [raw.nbytes for raw in large]
        self._file = _spooled(large) if large else None
        self._bytes = b"".join(
            (_HEAD.pack(len(data), len(sizes)), struct.pack(f"<{len(sizes)}Q", *sizes), data)
        )

    def send(self, peer: socket.socket) -> None:
        """Send it whole.

        Raises:
            OSError: the peer is gone.
        """
        handles = [] if self._file is None else [self._file.fileno()]
        sent = socket.send_fds(peer, [self._bytes[: _HEAD.size]], handles)
        peer.sendall(memoryview(self._bytes)[sent:])

    def close(self) -> None:
        """Give the file back; who received it keeps what is in it. Idempotent."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Received:
    """A parcel that has come."""

    data: bytes
    buffers: Sequence[memoryview]

    def value(self) -> object:
        """Return what was sent; raises what unpickling raises, ImportError for example."""
        value: object = pickle.loads(self.data, buffers=self.buffers)  # noqa: S301 - our own process
        return value


def receive(peer: socket.socket) -> Received:
    """Return the next parcel.

    Raises:
        Gone: the other end was closed, or its process ended.
    """
    head, handles = _head(peer)
    length, count = _HEAD.unpack(head)
    sizes = struct.unpack(f"<{count}Q", _exactly(peer, 8 * count))
    data = _exactly(peer, length)
    return Received(data, _mapped(handles, sizes) if count else ())


def _head(peer: socket.socket) -> tuple[bytes, list[int]]:
    try:
        head, handles, _, _ = socket.recv_fds(peer, _HEAD.size, 1)
        head += _exactly(peer, _HEAD.size - len(head)) if head else b""
    except ConnectionError:
        raise Gone from None
    if not head:
        raise Gone
    return head, handles


def _exactly(peer: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        try:
            got = peer.recv_into(view)
        except ConnectionError:
            raise Gone from None
        if not got:
            raise Gone
        view = view[got:]
    return bytes(data)


def _mapped(handles: Sequence[int], sizes: Sequence[int]) -> tuple[memoryview, ...]:
    for handle in handles:
        with open(handle, "rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        starts = _starts(sizes)
        return tuple(whole[at : at + size] for at, size in zip(starts, sizes, strict=True))
    raise Gone


def _starts(sizes: Sequence[int]) -> list[int]:
    starts, at = [], 0
    for size in sizes:
        starts.append(at)
        at += -(-size // _ALIGN) * _ALIGN
    return starts


def _spooled(buffers: Sequence[memoryview]) -> IO[bytes]:
    """Return a nameless file that holds the buffers."""
    if _SHARED.is_dir() and os.access(_SHARED, os.W_OK):
        try:
            return _written(buffers, str(_SHARED))
        except OSError:  # a container's share of memory may be small: write, never map, to find out
            pass
    return _written(buffers, None)


def _written(buffers: Sequence[memoryview], folder: str | None) -> IO[bytes]:
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the parcel
    try:
        for start, raw in zip(_starts([raw.nbytes for raw in buffers]), buffers, strict=True):
            file.seek(start)
            file.write(raw)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file
