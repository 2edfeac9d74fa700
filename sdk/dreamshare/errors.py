"""The errors of Dreamshare: five families, one root.

    DreamshareError
      ConfigError          the caller's values are wrong; raised at construction, never at round 40
      LocalProtocolError   our code asked for something illegal in this phase: a bug here
      PeerProtocolError    the peer did; carries the AbortCode to send back
      TransportError       the network: the driver retries or surfaces it
        Unreachable          nobody answered
        Rejected             the peer refused us (identity, version)
        FrameTooLarge        a message is over the size that the peer takes
      PrivacyError         never retried, always surfaced
        BudgetExhausted      the ledger has nothing left for this
        UnsafePlan           the plan is below this device's floor

An aborted round is not an exception but an outcome (`dreamshare.protocol.outcomes.RoundAborted`).
Every text says what happened and what to do about it.
"""

from __future__ import annotations

from enum import IntEnum


class DreamshareError(Exception):
    """Root of every error that Dreamshare raises on purpose."""


class ConfigError(DreamshareError):
    """A value that the caller gave is wrong; the text names the field and its range."""


class LocalProtocolError(DreamshareError):
    """Our own code asked for something that this phase does not allow."""


class AbortCode(IntEnum):
    """What is told to a peer that broke the protocol. A released value never changes meaning."""

    MALFORMED = 1
    UNAUTHENTICATED = 2
    UNEXPECTED = 3
    UNSUPPORTED_VERSION = 4
    TOO_LARGE = 5
    REFUSED = 6


class PeerProtocolError(DreamshareError):
    """The peer broke the protocol.

    Attributes:
        code: what to tell it.
    """

    def __init__(self, text: str, code: AbortCode = AbortCode.MALFORMED) -> None:
        super().__init__(text)
        self.code = code


class TransportError(DreamshareError):
    """The network failed in a way that a retry may mend."""


class Unreachable(TransportError):
    """Nobody answered at the address."""


class Rejected(TransportError):
    """The peer does not accept this identity or version; a retry does not help."""


class FrameTooLarge(TransportError):
    """A message is larger than the peer takes."""


class PrivacyError(DreamshareError):
    """A promise to the device's owner would be broken; never retried."""


class BudgetExhausted(PrivacyError):
    """The device's ledger has nothing left for this request."""


class UnsafePlan(PrivacyError):
    """The plan lies below the device's floor."""
