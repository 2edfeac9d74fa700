"""The seam to a network: opaque packets, in order, between two authenticated ends.

Rules:
- a transport moves byte strings of 1 to `packet_limit` bytes and knows nothing of their meaning;
- `peer` is what the transport itself proved about the other end (the CN of its certificate), or
  what a broker vouches for, or None; the envelope's signature decides, not this;
- a `Link` is one device's way to the aggregator and reconnects by being opened again; a `Listener`
  yields a `Connection` per device that came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

from dreamshare.errors import FrameTooLarge, LocalProtocolError
from dreamshare.transport.tls import TlsFiles

PACKET_LIMIT = 256 * 1024
"""Default size of a packet in bytes (docs/protocol.md, 14)."""

Admit = Callable[[str | None], bool]
"""What a listener asks about the `peer` of a new connection; False refuses it."""

Place = Callable[[str, bytes, int], bool]
"""Takes a party's hex id, the nonce of its request and how many are here; True: a seat answers."""


def check_packet(packet: bytes, limit: int) -> None:
    """Refuse a packet that no transport takes: LocalProtocolError, FrameTooLarge."""
    if not packet:
        raise LocalProtocolError("an empty packet was sent")
    if len(packet) > limit:
        raise FrameTooLarge(f"a packet of {len(packet)} bytes; at most {limit} are taken")


class Connection(Protocol):
    """One open connection; both ends look the same."""

    @property
    def peer(self) -> str | None:
        """Hex party id proven by the transport, or None where it proves nothing."""
        ...

    @property
    def binding(self) -> bytes:
        """What both ends of this one connection drew, where somebody relays it; else empty.

        Empty says that the other end is the peer itself, as with mutual TLS. Otherwise the relay is
        an adversary: greetings are signed over the binding, and bodies are sealed (17.31).
        """
        ...

    @property
    def packet_limit(self) -> int:
        """Largest packet in bytes."""
        ...

    @property
    def bytes_in(self) -> int:
        """Bytes of the packets that `packets` has yielded."""
        ...

    @property
    def bytes_out(self) -> int:
        """Bytes of the packets that `send` has handed over."""
        ...

    async def send(self, packet: bytes) -> None:
        """Hand a packet over; returns when the transport took it (back-pressure).

        Raises:
            Unreachable: the connection is gone.
            FrameTooLarge: the packet is over `packet_limit`.
            LocalProtocolError: the packet is empty.
        """
        ...

    def packets(self) -> AsyncIterator[bytes]:
        """Yield packets until either end closes cleanly; for one reader.

        Raises:
            Unreachable: the connection broke.
        """
        ...

    async def close(self) -> None:
        """Close; idempotent; what was sent before is delivered if the peer still listens."""
        ...


class Link(Protocol):
    """How a device or an operator reaches the aggregator."""

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            Unreachable: nobody answered; try again later.
            Rejected: the peer refuses this identity; trying again does not help.
        """
        ...

    def __str__(self) -> str:
        """The address, for logs and errors."""
        ...


class Listener(Protocol):
    """Where the aggregator waits for devices."""

    async def start(self) -> None:
        """Bind; raises ConfigError where the address or the certificates are unusable."""
        ...

    def connections(self) -> AsyncIterator[Connection]:
        """Yield each connection as it comes, until `close`."""
        ...

    async def close(self) -> None:
        """Stop accepting and close every connection; idempotent."""
        ...


@runtime_checkable
class TellsReadiness(Protocol):
    """A listener that can pass on whether its owner is ready for devices."""

    async def report_ready(self, ready: bool) -> None:
        """Pass it on to who asks."""
        ...


@runtime_checkable
class ShowsCertificate(Protocol):
    """A listener whose certificate can be renewed while it listens."""

    def renew(self, tls: TlsFiles) -> None:
        """Show this one from the next connection on; raises ConfigError."""
        ...


@runtime_checkable
class Spreads(Protocol):
    """A listener at a broker whose parties' requests seats of shards can answer."""

    def spread(self, place: Place) -> None:
        """Ask `place` about each request; before `start`."""
        ...

    def invite(self, party: str, opener: bytes) -> None:
        """Answer here what a seat did not, which is gone."""
        ...


@runtime_checkable
class Seat(Protocol):
    """A shard's listener at a broker: it takes whom the root names (docs/protocol.md 17.38)."""

    def attend(self, present: Callable[[bool], None]) -> None:
        """Tell `present` whenever it comes to the broker or leaves it; before `start`."""
        ...

    def invite(self, party: str, opener: bytes) -> None:
        """Admit the party of this hex id, which asked with this nonce."""
        ...

    def __str__(self) -> str:
        """The broker's address."""
        ...
