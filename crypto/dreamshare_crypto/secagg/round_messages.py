"""The messages that open, fill and close a round (docs/protocol.md section 7).

Rules:
- bitmaps are over the roster, so a decoder is told the roster's size `n`; every size is known or
  capped before anything is allocated;
- decoders raise MalformedError and nothing else (M1); what a well-formed message means, and whether
  it is refused, is decided in `round_checks`;
- no message carries two bitmaps: the one set of survivors decides which kind of share is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.graph import LARGEST_REGULAR
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import SIGNATURE_BYTES
from dreamshare_crypto.secagg.events import AbortReason
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.transcript import Reader, Writer, encode_bitmap

MOST_PARAMS_BYTES = 64 * 1024
MOST_MEMBERS = LARGEST_REGULAR
"""Most items of a list that runs over the roster (4.2)."""


@dataclass(frozen=True, slots=True)
class RoundStart(Signed):
    """Round `round` is open for the devices in `active`.

    Attributes:
        session: sid, 32 bytes.
        round: r, 0..R-1.
        n: size of the roster (not sent).
        active: A_r, roster indices.
        payload_hash: Hb, 32 bytes (7.1).
        params: how the vector is encoded (12.1).
        deadline: when vectors stop being taken, Unix seconds.
    """

    LABEL: ClassVar[str] = "sa2/v1/round-start"

    session: bytes
    round: int
    n: int
    active: frozenset[int]
    payload_hash: bytes
    params: Params
    deadline: int

    def statement(self) -> bytes:
        return (
            Writer()
            .raw(self.session, 32)
            .u32(self.round)
            .bitmap(self.active, self.n)
            .raw(self.payload_hash, 32)
            .var(self.params.encode())
            .u64(self.deadline)
            .finish()
        )

    def encode(self) -> bytes:
        return self.statement() + self.signature

    def context(self) -> bytes:
        """Return rctx, 32 bytes: what every mask of the round is bound to (section 3)."""
        return hash_parts(
            "sa2/v1/round",
            self.session,
            Writer().u32(self.round).finish(),
            encode_bitmap(self.active, self.n),
            self.payload_hash,
            self.params.hash(),
        )

    @classmethod
    def decode(cls, body: bytes, n: int) -> Self:
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            round=reader.u32(),
            n=n,
            active=reader.bitmap(n),
            payload_hash=reader.raw(32),
            params=Params.decode(reader.var(MOST_PARAMS_BYTES)),
            deadline=reader.u64(),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class InputReceipt(Signed):
    """What a device signs of its vector; the aggregator keeps it and not the vector (9.8)."""

    LABEL: ClassVar[str] = "sa2/v1/masked-input"

    session: bytes
    round: int
    context: bytes
    vector_hash: bytes

    def statement(self) -> bytes:
        head = Writer().raw(self.session, 32).u32(self.round).raw(self.context, 32)
        return head.raw(self.vector_hash, 32).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        receipt = cls(
            session=reader.raw(32),
            round=reader.u32(),
            context=reader.raw(32),
            vector_hash=reader.raw(32),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return receipt


@dataclass(frozen=True, slots=True)
class MaskedInput(Signed):
    """One device's masked vector `y`: little-endian 64-bit words."""

    LABEL: ClassVar[str] = InputReceipt.LABEL

    session: bytes
    round: int
    context: bytes
    vector: bytes

    def receipt(self) -> InputReceipt:
        """Return what is signed, without the vector itself."""
        digest = hash_parts("sa2/v1/y", self.vector)
        return InputReceipt(
            self.session, self.round, self.context, digest, signature=self.signature
        )

    def statement(self) -> bytes:
        return self.receipt().statement()

    def encode(self) -> bytes:
        head = Writer().raw(self.session, 32).u32(self.round).raw(self.context, 32)
        return head.var(self.vector).raw(self.signature).finish()

    @classmethod
    def decode(cls, body: bytes, vector_bytes: int) -> Self:
        """Read a message whose vector must have `vector_bytes` bytes."""
        reader = Reader(body)
        message = cls(
            session=reader.raw(32),
            round=reader.u32(),
            context=reader.raw(32),
            vector=reader.var(vector_bytes),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        if len(message.vector) != vector_bytes:
            raise MalformedError(f"a vector of {len(message.vector)} bytes, not {vector_bytes}")
        return message


@dataclass(frozen=True, slots=True)
class RoundResult(Signed):
    """The round gave a sum: its hash, whose vectors are in it, and the raw sum of the weights."""

    LABEL: ClassVar[str] = "sa2/v1/round-result"

    session: bytes
    round: int
    context: bytes
    n: int
    survivors: frozenset[int]
    result_hash: bytes
    weight_sum: int

    def statement(self) -> bytes:
        return (
            Writer()
            .raw(self.session, 32)
            .u32(self.round)
            .raw(self.context, 32)
            .bitmap(self.survivors, self.n)
            .raw(self.result_hash, 32)
            .u64(self.weight_sum)
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
            result_hash=reader.raw(32),
            weight_sum=reader.u64(),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class RoundAbort(Signed):
    """The round gave nothing, and why."""

    LABEL: ClassVar[str] = "sa2/v1/round-abort"

    session: bytes
    round: int
    context: bytes
    reason: AbortReason

    def statement(self) -> bytes:
        head = Writer().raw(self.session, 32).u32(self.round).raw(self.context, 32)
        return head.u16(self.reason).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        session, number, context, reason = (
            reader.raw(32),
            reader.u32(),
            reader.raw(32),
            reader.u16(),
        )
        signature = reader.raw(SIGNATURE_BYTES)
        reader.end()
        if reason not in tuple(AbortReason):
            raise MalformedError(f"unknown reason {reason} for giving a round up")
        return cls(
            session=session,
            round=number,
            context=context,
            reason=AbortReason(reason),
            signature=signature,
        )
