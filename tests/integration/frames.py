"""Counts the bytes of the frames of links, as packets carry them."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from dreamshare.wire.codec import decode_frame
from dreamshare.wire.link import Chunk, decode_packet
from dreamshare_crypto.envelope import Header


class FrameCounter:
    """A tap that counts bytes of whole frames by peer: set-ups and rounds, no greeting or goodbye.

    What is said twice counts once: a device whose signature the quorum did not need is shown the
    survivors again, and signs again (docs/protocol.md 7.4).

    Attributes:
        up, down: by peer, from and to it, as a listener sees it.
    """

    def __init__(self) -> None:
        self.up: Counter[str] = Counter()
        self.down: Counter[str] = Counter()
        self._parts: dict[tuple[bool, str, int, int], bytes] = {}
        self._said: set[tuple[bool, str, bytes]] = set()

    def received(self, peer: str, packet: bytes) -> None:
        self._take(True, peer, packet)

    def sent(self, peer: str, packet: bytes) -> None:
        self._take(False, peer, packet)

    def _take(self, up: bool, peer: str, packet: bytes) -> None:
        chunk = decode_packet(packet)
        if not isinstance(chunk, Chunk):
            return
        place = (up, peer, chunk.birth, chunk.transfer)
        had = self._parts.get(place, b"")
        assert chunk.offset == len(had), "a piece was sent twice"
        data = self._parts[place] = had + chunk.data
        if len(data) < chunk.total:
            return
        self._parts[place] = b""
        frame = decode_frame(data)
        said = (up, peer, sha256(frame.body).digest())
        if Header.decode(frame.header).stage and said not in self._said:
            self._said.add(said)
            (self.up if up else self.down)[peer] += len(data)
