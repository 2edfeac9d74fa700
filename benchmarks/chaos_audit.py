"""What the captures of a run say: who said two things where one is allowed.

Rules:
- an answer is known by device, session and round; two different ones are a double answer (7.6);
- a masked vector is known by the same; two different ones would be under one mask (7.2);
- vectors that are equal under different sessions or rounds would be two uses of one mask, too;
- what a device sent counts, whether or not it arrived, and so does what arrived.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import DreamshareError
from dreamshare.protocol.messages import Sa2
from dreamshare.wire.codec import decode_frame, decode_message
from dreamshare.wire.link import Chunk, decode_packet
from dreamshare_aggregator.capture import read_capture
from dreamshare_crypto.envelope import Flag, Header, open_sealed
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage

HEAD = 36
"""Session and round lead the messages of a round (docs/protocol.md, section 7)."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        answers: different (device, session, round) with an answer.
        vectors: different (device, session, round) with a masked vector.
        double_answers, reused_masks: see the module.
        unreadable: frames that could not be opened; 0, or the audit says nothing.
    """

    answers: int
    vectors: int
    double_answers: int
    reused_masks: int
    unreadable: int


def audit(captures: Iterable[Path], aggregator: Identity) -> Audit:
    """Read captures of what devices sent and what the aggregator received."""
    said: dict[Stage, dict[bytes, set[bytes]]] = {
        Stage.UNMASK_RESPONSE: defaultdict(set),
        Stage.MASKED_INPUT: defaultdict(set),
    }
    used: dict[bytes, set[bytes]] = defaultdict(set)  # vector -> where
    unreadable = 0
    for path in captures:
        parts: dict[tuple[int, int], bytes] = {}
        for captured in read_capture(path):
            frame = _frame(captured.packet, parts)
            if frame is None:
                continue
            try:
                header, message = _open(frame, aggregator)
            except (DreamshareError, CryptoError):
                unreadable += 1
                continue
            if isinstance(message, Sa2) and message.stage in said:
                place = header.sender + message.body[:HEAD]
                said[message.stage][place].add(message.body)
                if message.stage is Stage.MASKED_INPUT:
                    vector = message.body[HEAD + 32 : -64]
                    used[hashlib.sha256(vector).digest()].add(place)
    answers, vectors = said[Stage.UNMASK_RESPONSE], said[Stage.MASKED_INPUT]
    return Audit(
        len(answers),
        len(vectors),
        sum(len(bodies) > 1 for bodies in answers.values()),
        sum(len(bodies) > 1 for bodies in vectors.values())
        + sum(len(places) > 1 for places in used.values()),
        unreadable,
    )


def _frame(packet: bytes, parts: dict[tuple[int, int], bytes]) -> bytes | None:
    """Return a whole frame where this packet is its last chunk."""
    chunk = decode_packet(packet)
    if not isinstance(chunk, Chunk):
        return None
    key = (chunk.birth, chunk.transfer)
    held = parts.get(key, b"") if chunk.offset else b""
    if len(held) != chunk.offset:
        return None  # the rest of a transfer that began before a cut
    whole = held + chunk.data
    parts[key] = whole
    return whole if len(whole) == chunk.total else None


def _open(raw: bytes, aggregator: Identity) -> tuple[Header, object]:
    frame = decode_frame(raw)
    header = Header.decode(frame.header)
    body = frame.body
    if header.flags & Flag.SEALED:
        body = open_sealed(aggregator.kem, header, body)
    return header, decode_message(body)
