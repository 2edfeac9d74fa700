"""The messages of the epoch set-up, except the offer (docs/protocol.md section 6).

Rules:
- lists that run over the roster or the rounds have known or capped lengths: decoders are told `R`
  (rounds of the epoch) and `n` (roster size) where a length depends on them;
- decoders raise MalformedError and nothing else (M1); order, repeats and meaning are checked in
  `epoch_checks`, where each fault has the code that the text gives it;
- Advertise signs hashes of its two long lists, so that a roster entry proves them without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from dreamshare_crypto.aead import NONCE_BYTES, TAG_BYTES
from dreamshare_crypto.certificates import CERTIFICATE_BYTES, Certificate
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import SIGNATURE_BYTES, verify_signature
from dreamshare_crypto.secagg.round_messages import MOST_MEMBERS
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.shamir import ELEMENT_BYTES
from dreamshare_crypto.transcript import Reader, Writer

KEY_BYTES = 32


def box_bytes(rounds: int) -> int:
    """Return the size of a box: nonce, a p- and an s-share for each round, tag (6.5)."""
    return NONCE_BYTES + 2 * ELEMENT_BYTES * rounds + TAG_BYTES


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """What everybody gets to know about a member of the roster: 410 bytes.

    Attributes:
        certificate: the device's, 5.1.
        box_pk: X25519 key that boxes of shares are sealed to.
        keys_hash, commitments_hash: hashes of its R round keys and R commitments.
        nonce_commitment: to the device's share of the graph seed (profile K); unused in profile C.
        signature: the device's, over (ho, everything above).
    """

    certificate: Certificate
    box_pk: bytes
    keys_hash: bytes
    commitments_hash: bytes
    nonce_commitment: bytes
    signature: bytes

    LABEL: ClassVar[str] = "sa2/v1/advertise"

    @property
    def id(self) -> bytes:
        """The device's id, 16 bytes."""
        return self.certificate.id

    def statement(self, offer_hash: bytes) -> bytes:
        """Return the bytes that the signature covers under the offer of this hash."""
        return (
            Writer()
            .raw(offer_hash, 32)
            .raw(self.certificate.encode(), CERTIFICATE_BYTES)
            .raw(self.box_pk, KEY_BYTES)
            .raw(self.keys_hash, 32)
            .raw(self.commitments_hash, 32)
            .raw(self.nonce_commitment, 32)
            .finish()
        )

    def verify(self, offer_hash: bytes) -> None:
        """Check the device's signature under this offer; AuthenticationError when it fails."""
        statement = self.statement(offer_hash)
        verify_signature(self.certificate.ik, self.LABEL, statement, self.signature)

    def write(self, writer: Writer) -> None:
        """Append the entry's canonical bytes."""
        writer.raw(self.certificate.encode(), CERTIFICATE_BYTES)
        writer.raw(self.box_pk, KEY_BYTES).raw(self.keys_hash, 32).raw(self.commitments_hash, 32)
        writer.raw(self.nonce_commitment, 32).raw(self.signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read an entry; MalformedError when it is none."""
        return cls(
            certificate=Certificate.decode(reader.raw(CERTIFICATE_BYTES)),
            box_pk=reader.raw(KEY_BYTES),
            keys_hash=reader.raw(32),
            commitments_hash=reader.raw(32),
            nonce_commitment=reader.raw(32),
            signature=reader.raw(SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class Advertise(Signed):
    """A device takes part in the offered epoch: its keys and commitments for every round.

    Attributes:
        offer_hash: ho, 32 bytes.
        certificate: the device's.
        box_pk: as in RosterEntry.
        keys: pk[0..R-1], 32 bytes each.
        commitments: com[0..R-1], 32 bytes each.
        nonce_commitment: as in RosterEntry.
    """

    LABEL: ClassVar[str] = RosterEntry.LABEL

    offer_hash: bytes
    certificate: Certificate
    box_pk: bytes
    keys: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    nonce_commitment: bytes

    def entry(self) -> RosterEntry:
        """Return what the roster says about this device."""
        return RosterEntry(
            certificate=self.certificate,
            box_pk=self.box_pk,
            keys_hash=keys_hash(b"".join(self.keys)),
            commitments_hash=hash_parts("sa2/v1/coms", b"".join(self.commitments)),
            nonce_commitment=self.nonce_commitment,
            signature=self.signature,
        )

    def statement(self) -> bytes:
        return self.entry().statement(self.offer_hash)

    def encode(self) -> bytes:
        return (
            Writer()
            .raw(self.offer_hash, 32)
            .raw(self.certificate.encode(), CERTIFICATE_BYTES)
            .raw(self.box_pk, KEY_BYTES)
            .raw(b"".join(self.keys))
            .raw(b"".join(self.commitments))
            .raw(self.nonce_commitment, 32)
            .raw(self.signature)
            .finish()
        )

    @classmethod
    def decode(cls, body: bytes, rounds: int) -> Self:
        reader = Reader(body)
        message = cls(
            offer_hash=reader.raw(32),
            certificate=Certificate.decode(reader.raw(CERTIFICATE_BYTES)),
            box_pk=reader.raw(KEY_BYTES),
            keys=tuple(reader.raw(KEY_BYTES) for _ in range(rounds)),
            commitments=tuple(reader.raw(32) for _ in range(rounds)),
            nonce_commitment=reader.raw(32),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


def keys_hash(keys: bytes) -> bytes:
    """Return H(`sa2/v1/pks`, pks) of R x 32 bytes of round keys."""
    return hash_parts("sa2/v1/pks", keys)


@dataclass(frozen=True)  # no slots: 4 MB of statement are put together once
class Roster(Signed):
    """Who takes part in the epoch. A member's place in `entries` is its roster index."""

    LABEL: ClassVar[str] = "sa2/v1/roster"

    offer_hash: bytes
    entries: tuple[RosterEntry, ...]

    def statement(self) -> bytes:
        return self._statement

    @cached_property
    def _statement(self) -> bytes:
        head = Writer().raw(self.offer_hash, 32)
        return head.list(self.entries, lambda w, entry: entry.write(w)).finish()

    def encode(self) -> bytes:
        return self._statement + self.signature

    def digest(self) -> bytes:
        """Return rd, 32 bytes (section 3)."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return hash_parts("sa2/v1/roster", self.offer_hash, self.encode())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        message = cls(
            offer_hash=reader.raw(32),
            entries=reader.list(RosterEntry.read, MOST_MEMBERS),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class PeerKeys:
    """The round keys of every neighbour, in index order; the roster's hashes prove them."""

    roster_digest: bytes
    keys: tuple[bytes, ...]

    def encode(self) -> bytes:
        return Writer().raw(self.roster_digest, 32).raw(b"".join(self.keys)).finish()

    @classmethod
    def decode(cls, body: bytes, peers: int, rounds: int) -> Self:
        reader = Reader(body)
        digest = reader.raw(32)
        keys = tuple(reader.raw(KEY_BYTES * rounds) for _ in range(peers))
        reader.end()
        return cls(roster_digest=digest, keys=keys)


@dataclass(frozen=True, slots=True)
class _Boxes(Signed):
    """Boxes with the roster index of the other end; signed as one hash, for they are long."""

    session: bytes
    boxes: tuple[tuple[int, bytes], ...]

    def _fields(self) -> bytes:
        head = Writer().raw(self.session, 32)
        return head.list(self.boxes, lambda w, box: w.u32(box[0]).raw(box[1])).finish()

    def statement(self) -> bytes:
        return hash_parts(self.LABEL, self._fields())

    def encode(self) -> bytes:
        return self._fields() + self.signature

    @classmethod
    def decode(cls, body: bytes, rounds: int) -> Self:
        size = box_bytes(rounds)
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            boxes=reader.list(lambda r: (r.u32(), r.raw(size)), MOST_MEMBERS),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Shares(_Boxes):
    """A dealer's boxes, by index of the holder that each is for."""

    LABEL: ClassVar[str] = "sa2/v1/shares"


@dataclass(frozen=True, slots=True)
class Deliver(_Boxes):
    """A holder's boxes, by index of the dealer that each is from."""

    LABEL: ClassVar[str] = "sa2/v1/deliver"


@dataclass(frozen=True, slots=True)
class Ready(Signed):
    """A device can take part in rounds; `good`: itself and dealers whose boxes it could read."""

    LABEL: ClassVar[str] = "sa2/v1/ready"

    session: bytes
    n: int
    good: frozenset[int]

    def statement(self) -> bytes:
        return Writer().raw(self.session, 32).bitmap(self.good, self.n).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes, n: int) -> Self:
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            n=n,
            good=reader.bitmap(n),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message
