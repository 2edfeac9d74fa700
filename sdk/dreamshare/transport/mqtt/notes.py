"""Topics of a federation, and the few bytes around each packet (docs/protocol.md 17.31).

    version u8 | kind u8 | tag[8] | number u64 | rest

Rules:
- no input and output here: bytes in, values out;
- `tag` names a connection, `number` counts what one end of it sends from 1; OPEN, ADMITTED,
  REFUSED, BIRTH and DEATH belong to no connection yet and have zero for both;
- whatever is no note of this version is None: the other end may be anybody, so it is dropped.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from enum import IntEnum

from dreamshare.errors import ConfigError

NONCE_BYTES = 16
"""Bytes that each end draws for a connection, and a client for its time at the broker."""

HEAD_BYTES = 18
"""Bytes of a note before its rest."""

TEXT_LIMIT = 500
"""Bytes of a refusal's text."""

_VERSION = 1
_HEAD = struct.Struct("<BB8sQ")
_NO_TAG = bytes(8)
_PARTY = re.compile(r"[0-9a-f]{32}")


class Kind(IntEnum):
    """What a note is; a released value never changes meaning."""

    OPEN = 1  # up/req: nonce of the opener
    ADMITTED = 2  # dn/rsp: nonce of the opener, nonce of the listener, birth of the listener
    REFUSED = 3  # dn/rsp: nonce of the opener, text
    PACKET = 4  # blk: a packet
    TAKEN = 5  # rsp: `number` packets were taken by their reader
    END = 6  # blk: the sender closes, after `number` - 1 packets
    STRANGE = 7  # dn/req: there is no connection of this tag; open another
    BIRTH = 8  # state: nonce of a client that has come
    DEATH = 9  # state: nonce of a client that has gone


@dataclass(frozen=True, slots=True)
class Note:
    """One message between two ends."""

    kind: Kind
    rest: bytes = b""
    tag: bytes = _NO_TAG
    number: int = 0

    def encode(self) -> bytes:
        """Return the payload."""
        return _HEAD.pack(_VERSION, self.kind, self.tag, self.number) + self.rest


def decode_note(payload: bytes) -> Note | None:
    """Return the note of a payload, or None where it is none."""
    if len(payload) < HEAD_BYTES:
        return None
    version, kind, tag, number = _HEAD.unpack_from(payload)
    if version != _VERSION or kind not in _REST:
        return None
    rest = payload[HEAD_BYTES:]
    least, most = _REST[Kind(kind)]
    if len(rest) < least or (most is not None and len(rest) > most):
        return None
    return Note(Kind(kind), rest, tag, number)


_REST: dict[int, tuple[int, int | None]] = {
    Kind.OPEN: (NONCE_BYTES, NONCE_BYTES),
    Kind.ADMITTED: (3 * NONCE_BYTES, 3 * NONCE_BYTES),
    Kind.REFUSED: (NONCE_BYTES, NONCE_BYTES + TEXT_LIMIT),
    Kind.PACKET: (1, None),
    Kind.TAKEN: (0, 0),
    Kind.END: (0, 0),
    Kind.STRANGE: (0, 0),
    Kind.BIRTH: (NONCE_BYTES, NONCE_BYTES),
    Kind.DEATH: (NONCE_BYTES, NONCE_BYTES),
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one federation.

    Attributes:
        federation: hex id.
        namespace: what the broker's operator sets before everything, without slashes.
    """

    federation: str
    namespace: str = "dreamshare"

    def __post_init__(self) -> None:
        check_party(self.federation, "a federation's id")
        if not re.fullmatch(r"[a-z0-9_-]{1,32}", self.namespace):
            raise ConfigError(
                f"namespace {self.namespace!r}: 1 to 32 small letters, digits, '-' or '_'"
            )

    @property
    def root(self) -> str:
        """What every topic of the federation begins with."""
        return f"{self.namespace}/v1/{self.federation}"

    def hub(self, what: str) -> str:
        """Return a topic of the aggregator's: state, task or wake."""
        return f"{self.root}/b/{what}"

    def state(self, party: str) -> str:
        """Return where a party's birth and death are told."""
        return f"{self.root}/a/{party}/state"

    def up(self, party: str, what: str) -> str:
        """Return a topic from a party to the aggregator: req, rsp, blk or tel."""
        return f"{self.root}/a/{party}/up/{what}"

    def down(self, party: str, what: str) -> str:
        """Return a topic from the aggregator to a party: req, rsp or blk."""
        return f"{self.root}/a/{party}/dn/{what}"

    def sender(self, topic: str) -> tuple[str, str] | None:
        """Return the party of a topic that the aggregator hears, and what comes after its id."""
        prefix = f"{self.root}/a/"
        party, _, what = topic.removeprefix(prefix).partition("/")
        if not topic.startswith(prefix) or not _PARTY.fullmatch(party):
            return None
        return party, what


def check_party(party: str, what: str = "a party's id") -> None:
    """Refuse what is no hex id of 16 bytes: ConfigError."""
    if not _PARTY.fullmatch(party):
        raise ConfigError(f"{what} is 32 small hex digits, not {party!r}")


def binding_of(topics: Topics, party: str, opener: bytes, listener: bytes) -> bytes:
    """Return what both ends of one connection, and no other, have in common: 32 bytes."""
    return _hashed(b"connection", topics.root.encode(), party.encode(), opener, listener)


def correlation_of(topics: Topics, party: str, opener: bytes) -> bytes:
    """Return the correlation data of a request to open and of its answer: 16 bytes."""
    return _hashed(b"open", topics.root.encode(), party.encode(), opener)[:16]


def tag_of(binding: bytes) -> bytes:
    """Return the name of a connection in its notes: 8 bytes."""
    return _hashed(b"tag", binding)[:8]


def _hashed(*parts: bytes) -> bytes:
    found = hashlib.sha256(b"dreamshare/mqtt/v1")
    for part in parts:
        found.update(struct.pack("<Q", len(part)) + part)
    return found.digest()
