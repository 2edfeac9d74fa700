"""What the aggregator keeps about one party that came: its link, its queues, what it offers.

Rules:
- a party has one connection; a new one takes the place of an older one;
- a party that is away longer than the grace time misses messages: its queue is forgotten, and it is
  told so by a new birth when it comes back;
- what waits for a party is bounded (`wire.transfer.Outbox.crowded`): one that reads too slowly is
  cut off and missed, as if it had been away;
- bytes are counted as packets on its connections, in both directions, over all of them.
"""

from __future__ import annotations

import asyncio

from dreamshare.clock import Clock
from dreamshare.driver.broadcasts import Shared
from dreamshare.driver.offloading import Encoded
from dreamshare.driver.peering import Peering
from dreamshare.driver.stream import say_goodbye
from dreamshare.errors import AbortCode, FrameTooLarge
from dreamshare.ids import PartyId
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import CheckIn, DeviceStatus, Message
from dreamshare.transport.base import Connection
from dreamshare_crypto.certificates import Role


class Party:
    """One device, operator or viewer."""

    def __init__(self, peering: Peering, clock: Clock) -> None:
        self.peering = peering
        self.clock = clock
        self.offer: CheckIn | None = None  # of a device that has checked in and not departed
        self.fresh = True  # its process is new, or it missed messages, since it checked in last
        self.grace: asyncio.Task[None] | None = None
        self.dropped = 0
        self._connection: Connection | None = None
        self._bytes_up = 0
        self._bytes_down = 0

    @property
    def id(self) -> PartyId:
        """The party's id."""
        return self.peering.peer

    @property
    def role(self) -> Role:
        """The role in its certificate."""
        return self.peering.certificate.role

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return self._connection is not None

    def attach(self, connection: Connection) -> Connection | None:
        """Take a new connection; return the older one, if there is one, to be sent away."""
        if self.grace is not None:
            self.grace.cancel()
            self.grace = None
        older, self._connection = self._connection, connection
        if older is not None:
            self._count(older)
        return older

    def detach(self, connection: Connection) -> bool:
        """Note that a connection ended; True when it was the present one, not a former one."""
        if connection is not self._connection:
            return False
        self._count(connection)
        self._connection = None
        return True

    async def hang_up(self) -> None:
        """Close the connection, if one is open, because this end stops."""
        await self.send_back("the aggregator stops")

    async def send_away(self, text: str) -> None:
        """Close the connection, if one is open, for a reason that another attempt does not mend."""
        if self._connection is not None:
            await say_goodbye(self._connection, self.clock, AbortCode.UNAUTHENTICATED, text)

    def post(
        self, address: Address, message: Message | Encoded, shared: Shared | None = None
    ) -> bool:
        """Queue a message; it is missed where the party is away or does not take it.

        Over a relay, `shared` is the same message sealed for all its receivers.

        Returns:
            False where so much waits already that it has to be forgotten first.
        """
        if not self.connected and self.grace is None:
            self.fresh = True
            return True
        if self.peering.crowded:
            return False
        try:
            if shared is not None and self.peering.relayed:
                self.peering.share(address, shared.group, shared.parts)
            else:
                self.peering.send(address, message)
        except FrameTooLarge:
            self.dropped += 1
        return True

    def forget_waiting(self, birth: int) -> None:
        """Forget what waits for a party that reads too slowly: it misses that."""
        self.fresh = True
        self.peering.forget(birth)

    async def send_back(self, text: str) -> None:
        """Close the connection, if one is open, so that the party comes again."""
        if self._connection is not None:
            await say_goodbye(self._connection, self.clock, None, text)

    def depart(self, birth: int) -> None:
        """The grace time is over: what is queued is forgotten."""
        self.grace = None
        self.offer = None
        self.fresh = True
        self.peering.forget(birth)

    def status(self) -> DeviceStatus:
        """Return what operators see of a device."""
        connection = self._connection
        return DeviceStatus(
            device=self.id,
            label="" if self.offer is None else self.offer.label,
            connected=self.connected,
            algorithms=() if self.offer is None else self.offer.algorithms,
            bytes_up=self._bytes_up + (0 if connection is None else connection.bytes_in),
            bytes_down=self._bytes_down + (0 if connection is None else connection.bytes_out),
            attributes={} if self.offer is None else self.offer.attributes,
        )

    def _count(self, connection: Connection) -> None:
        self._bytes_up += connection.bytes_in
        self._bytes_down += connection.bytes_out
