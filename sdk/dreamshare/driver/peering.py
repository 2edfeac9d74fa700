"""What one party keeps about one peer between connections: numbers, queues, what was received.

Rules:
- a message is signed when it is queued and keeps its bytes through every reconnect;
- what arrives is decoded in one place and order: frame, envelope, seal, message, role;
- over a connection that somebody relays every body is sealed, and nothing that was queued in clear
  is ever sent there;
- queues are forgotten with a new birth only, so that the peer sees that something may be missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from dreamshare.driver.offloading import Encoded, encode
from dreamshare.driver.room import Room, Share
from dreamshare.ids import PartyId
from dreamshare.protocol.envelope import Address, Signer, Verifier, check_role, stage_of
from dreamshare.protocol.messages import Message
from dreamshare.protocol.sealing import GROUP_KEY_STAGE, Group, seal_frame
from dreamshare.wire import limits
from dreamshare.wire.codec import decode_frame, decode_message, frame_parts
from dreamshare.wire.link import Ack, Chunk, Packet, Ping, Standing
from dreamshare.wire.transfer import Arrival, Inbox, Outbox, Place
from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.envelope import Frame, Header
from dreamshare_crypto.identity import Identity

MOST_REPLIES = 1024
"""Answers that wait for a peer that does not read; the next greeting says what is left out."""


class Opened(NamedTuple):
    """A frame that holds: its header, its message, and the bytes of its body."""

    header: Header
    message: Message
    body: bytes


class Peering:
    """One peer of one party.

    Args:
        identity: the party's own.
        certificate: the peer's, accepted.
        birth: of this end, grows with every start of the process; microseconds serve well.
        entropy: source of what sealing draws; the system's by default.
        room: what the peer's frames share with those of others; None: they are the only ones.
        wanted: returns the largest frame of the peer that is kept at present.
    """

    def __init__(
        self,
        identity: Identity,
        certificate: Certificate,
        birth: int,
        entropy: Entropy | None = None,
        room: Room | None = None,
        wanted: Callable[[], int] | None = None,
    ) -> None:
        self.peer = PartyId(certificate.id)
        self._identity = identity
        self._verifier = Verifier(identity, certificate)
        self._signer = Signer(identity, self.peer, birth)
        self._entropy = entropy or SystemEntropy()
        self._relayed = False
        self._given: set[int] = set()  # group keys that the peer was handed
        self._outbox = Outbox(birth)
        self._most = most_of(certificate)
        self._inbox = Inbox(self._most, wanted=wanted)
        self._share = None if room is None else Share(room, self._inbox.let_go)
        self._replies: deque[Packet] = deque()  # acknowledgements and pings go before chunks
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def certificate(self) -> Certificate:
        """The peer's certificate."""
        return self._verifier.certificate

    @property
    def birth(self) -> int:
        """The birth under which this end sends."""
        return self._outbox.birth

    @property
    def peer_birth(self) -> int:
        """The birth under which the peer sends, 0 before it was met."""
        return self._inbox.received.birth

    @property
    def relayed(self) -> bool:
        """Whether bodies are sealed."""
        return self._relayed

    @property
    def backlog(self) -> int:
        """Bytes queued and not acknowledged."""
        return self._outbox.backlog

    @property
    def crowded(self) -> bool:
        """Whether so much waits for the peer that nothing should be added."""
        return self._outbox.crowded

    def standing(self, packet_limit: int) -> Standing:
        """Return what this end says in its greeting."""
        return Standing(
            certificate=self._identity.certificate.encode(),
            birth=self._outbox.birth,
            first=self._outbox.first,
            received=self._inbox.received,
            packet_limit=packet_limit,
            frame_limit=self._most,
        )

    def meet(self, peer: Standing) -> None:
        """Prepare for what the peer will send, before this end greets; PeerProtocolError."""
        self._inbox.connected(peer)
        self._give_back()

    def begin(self, peer: Standing, packet_limit: int) -> None:
        """Both have greeted: go on sending where the peer stands.

        Raises:
            PeerProtocolError: the peer claims to have what was never sent.
            FrameTooLarge: a queued frame is more than the peer takes.
        """
        self._replies.clear()
        self._outbox.connected(peer, packet_limit)
        self._wake.set()

    def carry(self, binding: bytes) -> bool:
        """A connection of this binding begins; True where `forget` has to come first.

        What was queued in clear is not for a relay to see.
        """
        leaks = bool(binding) and not self._relayed and self._outbox.backlog > 0
        self._relayed = bool(binding)
        return leaks

    def pause(self) -> None:
        """The connection is gone."""
        self._outbox.disconnected()

    def forget(self, birth: int) -> None:
        """Drop everything queued; the peer sees a new birth and knows that it missed something."""
        self._outbox = Outbox(birth)
        self._signer = Signer(self._identity, self.peer, birth)
        self._given = set()
        self._inbox.let_go()
        self._give_back()
        self._settled.set()  # who waits for room looks again

    def renew(self, certificate: Certificate) -> None:
        """The peer shows another certificate of the same id."""
        self._verifier.renew(certificate)

    # ---- messages --------------------------------------------------------------------------------

    def seal(self, address: Address, message: Encoded) -> Frame | None:
        """Return the sealed frame that `send` would make, None where it is sent in clear.

        Sealing a large one is not for an event loop; a thread may do it, one at a time.
        """
        if not self._relayed:
            return None
        header = self._signer.draft(address, stage_of(message.message))
        return seal_frame(self._identity, self.certificate, header, message.body, self._entropy)

    def send(
        self, address: Address, message: Message | Encoded, sealed: Frame | None = None
    ) -> None:
        """Sign a message and queue it; encoding and hashing a large one is not for an event loop.

        Args:
            address: what it is about.
            message: what to send.
            sealed: what `seal` returned for it; made anew where something else was sent meanwhile.

        Raises:
            FrameTooLarge: the peer does not take it.
        """
        ready = message if isinstance(message, Encoded) else encode(message)
        if sealed is None or not self._signer.is_next(Header.decode(sealed.header)):
            sealed = self.seal(address, ready)
        if sealed is None:
            frame = self._signer.sign(address, ready.message, ready.body, ready.digest)
        else:
            frame = sealed
            self._signer.used(Header.decode(frame.header))
        self._queue(*frame_parts(frame))

    def share(self, address: Address, group: Group, parts: tuple[bytes, bytes]) -> None:
        """Queue a broadcast, and before the first of its group the group's key.

        Raises:
            FrameTooLarge: the peer does not take it.
        """
        if group.key_id not in self._given:
            header = self._signer.draft(address, GROUP_KEY_STAGE)
            self._signer.used(header)
            self._queue(*frame_parts(group.key_frame(self.certificate, header)))
            self._given.add(group.key_id)
        self._queue(*parts)

    def _queue(self, *parts: bytes) -> None:
        self._outbox.put(*parts)
        self._wake.set()

    def open(self, arrival: Arrival) -> Opened | None:
        """Return what a complete frame says, once it is proven; None: it was for this object.

        Raises:
            PeerProtocolError: malformed, not the peer's, not for this party, a repeat, sealed to
                somebody else, or nothing that the peer's role may say.
        """
        frame = decode_frame(arrival.frame)
        header = self._verifier.verify(frame, relayed=self._relayed)
        body = self._verifier.unseal(header, frame.body)
        if body is None:
            return None
        message = decode_message(body)
        check_role(self.certificate.role, message)
        return Opened(header, message, body)

    def acknowledge(self, place: Place) -> None:
        """The frame has been handled: nothing of it is lost if this process dies now."""
        if self._share is not None:
            self._share.handled(place)
        ack = self._inbox.acknowledge(*place)
        if ack is not None:
            self._reply(ack)

    # ---- packets ---------------------------------------------------------------------------------

    def admits(self, packet: Packet) -> bool:
        """Whether a packet can be taken now; else `until_admitted` comes first."""
        size = self._inbox.begins(packet) if isinstance(packet, Chunk) else 0
        return not size or self._share is None or self._share.begin_now(size)

    async def until_admitted(self, packet: Packet) -> None:
        """Return when there is room for the frame that a packet begins."""
        if self._share is not None and isinstance(packet, Chunk):
            await self._share.begin(packet.total)

    def reassure(self) -> None:
        """Tell the peer that this end is there, although it reads nothing now."""
        if len(self._replies) < MOST_REPLIES:
            self._reply(Ping(0))

    def take(self, packet: Chunk | Ack | Ping) -> Arrival | None:
        """Take a packet of the running connection; return the frame that it completes.

        Raises:
            PeerProtocolError: the peer breaks the rules of `wire.transfer`.
        """
        match packet:
            case Chunk():
                try:
                    taken = self._inbox.take(packet)
                    if self._share is not None and isinstance(taken, Arrival) and taken.pieces:
                        self._share.arrived(taken.place)
                finally:
                    self._give_back()
                if isinstance(taken, Arrival):
                    return taken
                if taken is not None and len(self._replies) < MOST_REPLIES:
                    self._reply(taken)
            case Ack():
                self._outbox.acknowledged(packet)
                self._wake.set()
                self._settled.set()
            case Ping(number, answer=False) if len(self._replies) < MOST_REPLIES:
                self._reply(Ping(number, answer=True))
        return None

    def next_packet(self) -> Packet | None:
        """Return what to send next, or None."""
        return self._replies.popleft() if self._replies else self._outbox.next_chunk()

    async def until_settled(self) -> None:
        """Return when everything queued has been acknowledged."""
        while self._outbox.backlog:
            self._settled.clear()
            await self._settled.wait()

    async def until_room(self) -> None:
        """Return when not much waits for the peer, or when all of it was forgotten."""
        while self._outbox.crowded:
            self._settled.clear()
            await self._settled.wait()

    async def until_more(self) -> None:
        """Return when `next_packet` may have something again."""
        await self._wake.wait()
        self._wake.clear()

    def _give_back(self) -> None:
        """Give back the room of a frame that was to come and is not kept."""
        if self._share is not None and not self._inbox.coming:
            self._share.dropped()

    def _reply(self, packet: Packet) -> None:
        if _is_cumulative(packet) and self._replies and _is_cumulative(self._replies[-1]):
            self._replies.pop()  # the new one says all that it says
        self._replies.append(packet)
        self._wake.set()


def most_of(certificate: Certificate) -> int:
    """Return the largest frame that the holder of a certificate may send: requests are small."""
    if certificate.role in (Role.OPERATOR, Role.VIEWER):
        return limits.REQUEST_LIMIT
    return limits.FRAME_LIMIT


def _is_cumulative(packet: Packet) -> bool:
    return isinstance(packet, Ack) and not packet.resend
