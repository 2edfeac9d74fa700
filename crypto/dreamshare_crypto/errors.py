"""The errors of the cryptographic room.

    CryptoError
      MalformedError        bytes that cannot be a message (refusal M1)
      AuthenticationError   a signature, certificate, MAC or ciphertext that does not hold (M2, O3)
      Refused               a peer asked for something that this party does not do; carries its code
      ParameterError        the caller's own values are wrong
      RangeError            an unmasked sum that no honest devices could have made
      IllegalInputError     the caller gave an input that this phase has no place for: a bug here

Rules:
- decoders raise MalformedError and nothing else, whatever the bytes;
- verification raises; no function here returns a bool that a caller could forget to look at;
- texts are plain and hold no secret; `dreamshare.protocol` maps them to its own families.
"""

from __future__ import annotations

from enum import StrEnum


class CryptoError(Exception):
    """Root of everything that this package raises on purpose."""


class MalformedError(CryptoError):
    """Bytes that are not the canonical encoding of what was expected (docs/protocol.md, 10, M1)."""


class AuthenticationError(CryptoError):
    """A signature, certificate, MAC or AEAD tag does not hold (docs/protocol.md, 10, M2)."""


class ParameterError(CryptoError):
    """A value given by our own caller lies outside its documented range."""


class RangeError(CryptoError):
    """An unmasked sum holds a lane that no honest devices can make (docs/protocol.md 12.5)."""


class IllegalInputError(CryptoError):
    """An input that the current phase has no place for and that no peer can cause."""


class RefusalCode(StrEnum):
    """Why a party refuses (docs/protocol.md, section 10). Released values keep their meaning."""

    M1 = "M1"
    M2 = "M2"
    O1 = "O1"
    O2 = "O2"
    O3 = "O3"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    G1 = "G1"
    G2 = "G2"
    D1 = "D1"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"
    S5 = "S5"
    S6 = "S6"
    S7 = "S7"
    E1 = "E1"
    U1 = "U1"
    U2 = "U2"
    U3 = "U3"
    U4 = "U4"
    B1 = "B1"
    Q1 = "Q1"
    Q2 = "Q2"
    K1 = "K1"
    J1 = "J1"


class Refused(CryptoError):
    """A peer asked for something that the protocol forbids to answer.

    Attributes:
        code: the row of docs/protocol.md section 10.
        evidence: the two contradicting signed messages, where the row says to keep them.
    """

    def __init__(self, code: RefusalCode, text: str, evidence: tuple[bytes, ...] = ()) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.evidence = evidence
