"""What follows from a refusal: the four effects of docs/protocol.md section 10.

    Refused                 (dreamshare_crypto.errors)
      Ignored               X: the message is dropped and counted, nothing is answered
      RoundRefused          N: this round is refused with the code
      EpochRefused          E: the epoch ends
      Contradicted          V: both signed messages are kept as evidence, and the epoch ends

Rules:
- a check raises the error whose effect its row of section 10 names; the client carries it out;
- refusing is never a reason to reveal a share (10.1).
"""

from __future__ import annotations

from dreamshare_crypto.errors import RefusalCode, Refused


class Ignored(Refused):
    """Effect X: drop and count."""


class RoundRefused(Refused):
    """Effect N: refuse this round, name the code."""

    def __init__(self, code: RefusalCode, text: str, round_: int) -> None:
        super().__init__(code, text)
        self.round = round_


class EpochRefused(Refused):
    """Effect E: end the epoch, name the code."""


class Contradicted(Refused):
    """Effect V: the aggregator signed two statements that exclude each other."""

    def __init__(
        self, code: RefusalCode, text: str, first: bytes, second: bytes, round_: int | None = None
    ) -> None:
        super().__init__(code, text, (first, second))
        self.first = first
        self.second = second
        self.round = round_
