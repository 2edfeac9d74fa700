"""The seam for enrolment: one message up, one message down, before anybody is certified.

Rules:
- messages are opaque here; what they say is `dreamshare.wire.enrol`'s business;
- nothing rests on this transport: requests and replies prove themselves (docs/protocol.md 5.4);
- a `Door` is the way to one address. It is opened `unproven` to fetch the federation's TLS root,
  which the token has a hash of, and then `proven` under that root, to ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

Answering = Callable[[bytes, str], Awaitable[bytes]]
"""What a listener hands each message to, with the address that it came from; returns the answer."""


class Exchange(Protocol):
    """An open way to whoever relays enrolments; closed by leaving its block."""

    async def ask(self, message: bytes) -> bytes:
        """Send a message and return its answer.

        Raises:
            Unreachable: nobody answered; try again later.
            Rejected: the other end is not who it has to be, or no aggregator.
        """
        ...

    async def __aenter__(self) -> Self:
        """Return the exchange."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; what was asked and not answered is given up."""
        ...


class Door(Protocol):
    """An address where enrolments are taken."""

    async def unproven(self) -> Exchange:
        """Open without knowing who answers: for what proves itself; raises Unreachable."""
        ...

    def proven(self, roots_pem: bytes) -> Exchange:
        """Open towards somebody whose TLS certificate leads to one of these roots."""
        ...

    def __str__(self) -> str:
        """The address, for people."""
        ...
