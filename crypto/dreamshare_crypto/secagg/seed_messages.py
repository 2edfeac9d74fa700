"""The messages that seed the random graph of profile K (docs/protocol.md 6, row 3k, and 6.3).

Rules:
- a nonce was committed to before the roster existed: its owner cannot choose it any more, and
  whoever passes it on cannot change it;
- a seeder's own signature travels along, so that a device need not believe the aggregator whose
  nonce it is;
- no message names the graph, the neighbours or the witnesses: everybody computes them;
- decoders raise MalformedError and nothing else (M1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.keys import SIGNATURE_BYTES
from dreamshare_crypto.secagg.round_messages import MOST_MEMBERS
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.transcript import Reader, Writer

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reveal(Signed):
    """A seeder's share of the graph's seed.

    Attributes:
        offer_hash: ho.
        roster_digest: rd.
        nonce: what nonce_com of the roster commits to, 32 bytes.
    """

    LABEL: ClassVar[str] = "sa2/v1/reveal"

    offer_hash: bytes
    roster_digest: bytes
    nonce: bytes

    def statement(self) -> bytes:
        head = Writer().raw(self.offer_hash, 32).raw(self.roster_digest, 32)
        return head.raw(self.nonce, NONCE_BYTES).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        message = cls(
            offer_hash=reader.raw(32),
            roster_digest=reader.raw(32),
            nonce=reader.raw(NONCE_BYTES),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Seed(Signed):
    """Every seeder's nonce and signature, (roster index, nonce, signature), in seeder order."""

    LABEL: ClassVar[str] = "sa2/v1/seed"

    roster_digest: bytes
    reveals: tuple[tuple[int, bytes, bytes], ...]

    def statement(self) -> bytes:
        head = Writer().raw(self.roster_digest, 32)
        return head.list(
            self.reveals,
            lambda w, r: w.u32(r[0]).raw(r[1], NONCE_BYTES).raw(r[2], SIGNATURE_BYTES),
        ).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        message = cls(
            roster_digest=reader.raw(32),
            reveals=reader.list(
                lambda r: (r.u32(), r.raw(NONCE_BYTES), r.raw(SIGNATURE_BYTES)), MOST_MEMBERS
            ),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return message
