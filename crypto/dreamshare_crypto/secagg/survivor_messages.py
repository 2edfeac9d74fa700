"""The messages about who survived a round, up to the answers (docs/protocol.md 7.3 to 7.6).

Rules:
- no message carries two bitmaps: the one set of survivors decides which kind of share is asked for,
  so that alive and dropped can never both be claimed of a device;
- what a witness signs is not sent with its signature: the receiver puts its own values in;
- decoders raise MalformedError and nothing else (M1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import SIGNATURE_BYTES
from dreamshare_crypto.secagg.round_messages import MOST_MEMBERS
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.shamir import ELEMENT_BYTES
from dreamshare_crypto.transcript import Reader, Writer, encode_bitmap


def survivors_hash(survivors: frozenset[int], n: int) -> bytes:
    """Return H(`sa2/v1/U`, U_r), 32 bytes: which survivors an answer belongs to."""
    return hash_parts("sa2/v1/U", encode_bitmap(survivors, n))


@dataclass(frozen=True, slots=True)
class Survivors(Signed):
    """U_r: the devices whose vectors are in the sum (7.3)."""

    LABEL: ClassVar[str] = "sa2/v1/survivors"

    session: bytes
    round: int
    context: bytes
    n: int
    survivors: frozenset[int]

    def statement(self) -> bytes:
        return (
            Writer()
            .raw(self.session, 32)
            .u32(self.round)
            .raw(self.context, 32)
            .bitmap(self.survivors, self.n)
            .finish()
        )

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes, n: int) -> Self:
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            round=reader.u32(),
            context=reader.raw(32),
            n=n,
            survivors=reader.bitmap(n),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Agree(Signed):
    """A witness was shown these survivors; `context` and `survivors` are signed, not sent."""

    LABEL: ClassVar[str] = "sa2/v1/agree"

    session: bytes
    round: int
    context: bytes
    n: int
    survivors: frozenset[int]

    def statement(self) -> bytes:
        return (
            Writer()
            .raw(self.session, 32)
            .u32(self.round)
            .raw(self.context, 32)
            .bitmap(self.survivors, self.n)
            .finish()
        )

    def encode(self) -> bytes:
        return Writer().raw(self.session, 32).u32(self.round).raw(self.signature).finish()

    @classmethod
    def decode(cls, body: bytes, context: bytes, n: int, survivors: frozenset[int]) -> Self:
        """Read a signature that claims to cover the receiver's own context and survivors."""
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            round=reader.u32(),
            context=context,
            n=n,
            survivors=survivors,
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class AgreeSet:
    """A quorum's signatures, (roster index, signature) each; their order is checked by row Q1."""

    session: bytes
    round: int
    signatures: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        head = Writer().raw(self.session, 32).u32(self.round)
        return head.list(self.signatures, lambda w, s: w.u32(s[0]).raw(s[1])).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            round=reader.u32(),
            signatures=reader.list(lambda r: (r.u32(), r.raw(SIGNATURE_BYTES)), MOST_MEMBERS),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class UnmaskResponse(Signed):
    """One share for each active dealer, in index order, as far as its box was good (7.6).

    Attributes:
        listed: the length of the list that `have` is over: `Session.dealers` (not sent).
        have: positions in that list, not roster indices.
        shares: 32 bytes for each position of `have`, ascending.
    """

    LABEL: ClassVar[str] = "sa2/v1/unmask-response"

    session: bytes
    round: int
    survivors_hash: bytes
    listed: int
    have: frozenset[int]
    shares: tuple[bytes, ...]

    def statement(self) -> bytes:
        head = Writer().raw(self.session, 32).u32(self.round).raw(self.survivors_hash, 32)
        return head.bitmap(self.have, self.listed).raw(b"".join(self.shares)).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes, listed: int) -> Self:
        reader = Reader(body)
        session, number, chosen = reader.raw(32), reader.u32(), reader.raw(32)
        have = reader.bitmap(listed)
        shares = tuple(reader.raw(ELEMENT_BYTES) for _ in have)
        message = cls(
            session=session,
            round=number,
            survivors_hash=chosen,
            listed=listed,
            have=have,
            shares=shares,
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message
