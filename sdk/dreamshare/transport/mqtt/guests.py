"""Parties at a listener, for one stay at the broker after the other.

Rules:
- a party has one connection; a newer request to open takes the place of an older one, and the same
  request again gets the same answer;
- a request that a seat answers is not answered here (docs/protocol.md 17.38);
- a party that the broker reports dead is given up, where the death is that of its present session;
- who shares the parties with others says so when a connection broke at this end: a packet of a
  connection that it does not know may be another listener's, and gets no answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

from dreamshare.errors import TransportError, Unreachable
from dreamshare.transport.base import Admit, Connection, Place
from dreamshare.transport.mqtt.client import Envelope
from dreamshare.transport.mqtt.connection import MqttConnection, Route
from dreamshare.transport.mqtt.link import Draw
from dreamshare.transport.mqtt.notes import (
    NONCE_BYTES,
    Kind,
    Note,
    Topics,
    binding_of,
    correlation_of,
    decode_note,
)
from dreamshare.transport.mqtt.session import Arrived, Session
from dreamshare.transport.mqtt.share import Share

_LOG = logging.getLogger(__name__)

_EXPIRY_S = 60
_MOST_ANSWERS = 4096


@dataclass(frozen=True, slots=True)
class _Guest:
    """A party's connection, and the nonces that made it."""

    opener: bytes
    listener: bytes
    connection: MqttConnection


class Guests:
    """Who is at a listener.

    Attributes:
        share: which topics are heard; changed before the first stay alone.
        place: says whether a request is answered by a seat; None where there is none.
        present: told whenever a stay at the broker begins or ends.

    Args:
        topics: the federation's.
        admit: asked about the id that the broker vouches for.
        draw: random bytes.
        arrive: takes every new connection.
        share: as the attribute.
    """

    def __init__(
        self,
        topics: Topics,
        admit: Admit | None,
        draw: Draw,
        arrive: Callable[[Connection], None],
        share: Share,
    ) -> None:
        self.share = share
        self.place: Place | None = None
        self.present: Callable[[bool], None] | None = None
        self._topics = topics
        self._admit = admit
        self._draw = draw
        self._arrive = arrive
        self._session: Session | None = None
        self._birth = b""
        self._guests: dict[str, _Guest] = {}
        self._answers: set[asyncio.Task[None]] = set()

    def begin(self, session: Session, birth: bytes) -> None:
        """A stay at the broker begins, under this birth."""
        self._session, self._birth = session, birth
        if self.present is not None:
            self.present(True)

    def lose(self) -> None:
        """The stay is over: so is every connection."""
        self._take_nobody()
        for guest in tuple(self._guests.values()):
            guest.connection.sever("the connection to the broker broke")
        for answer in self._answers:
            answer.cancel()

    async def close(self) -> None:
        """Close every connection; nobody comes any more."""
        self._take_nobody()
        here = tuple(self._guests.values())
        await asyncio.gather(*(each.connection.close() for each in here))

    def _take_nobody(self) -> None:
        if self._session is not None and self.present is not None:
            self.present(False)
        self._session = None

    # ---- what parties say ------------------------------------------------------------------------

    def take(self, arrived: Arrived) -> None:
        """Take what the broker delivered."""
        note = decode_note(arrived.payload)
        sender = self._topics.sender(arrived.topic)
        if note is None or sender is None or arrived.envelope.retain:
            return  # nobody's, or what the broker kept from another day
        party, topic = sender
        guest = self._guests.get(party)
        match note.kind, topic:
            case Kind.OPEN, "up/req":
                self._take_request(party, note.rest, arrived.envelope)
            case (Kind.PACKET | Kind.END, "up/blk") | (Kind.TAKEN, "up/rsp"):
                if guest is not None and guest.connection.tag == note.tag:
                    guest.connection.take(note)
                elif note.kind is Kind.PACKET and self.share is Share.WHOLE:
                    self._answer(party, "req", Note(Kind.STRANGE, tag=note.tag), None)
            case Kind.DEATH, "state":
                if guest is not None and guest.opener == note.rest:
                    guest.connection.sever("the broker says that the party is gone")
            case Kind.BIRTH, "state" if self.share is not Share.WHOLE:
                if guest is not None and guest.opener != note.rest:
                    guest.connection.sever("the party came again, perhaps elsewhere")

    def _take_request(self, party: str, opener: bytes, envelope: Envelope) -> None:
        topics = self._topics
        wanted = (topics.down(party, "rsp"), correlation_of(topics, party, opener))
        if (envelope.response_topic, envelope.correlation) != wanted:
            _LOG.warning("a request of %s wants its answer elsewhere; dropped", party)
            return
        if self._session is None:
            return
        guest = self._guests.get(party)
        if guest is None or guest.opener != opener:
            if self._admit is not None and not self._admit(party):
                words = f"{party} is not admitted here".encode()
                refusal = Note(Kind.REFUSED, opener + words)
                self._answer(party, "rsp", refusal, wanted[1])
                return
            if guest is not None:
                guest.connection.sever("the party came again")
            if self.place is not None and self.place(party, opener, len(self._guests)):
                return
        self.welcome(party, opener)

    def welcome(self, party: str, opener: bytes) -> None:
        """Admit a party that asked with this nonce; nothing without a broker."""
        session = self._session
        if session is None or len(self._answers) >= _MOST_ANSWERS:
            return  # who gets no answer asks again
        guest = self._guests.get(party)
        if guest is None or guest.opener != opener:
            if guest is not None:
                guest.connection.sever("the party came again")
            guest = self._let_in(session, party, opener)
        wanted = self.share.of_guest(self._topics, party)
        if wanted:
            self._start(self._hear(session, party, guest, wanted))
        else:
            self._tell_admitted(party, guest)

    def _let_in(self, session: Session, party: str, opener: bytes) -> _Guest:
        listener = self._draw(NONCE_BYTES)
        down = self._topics.down
        connection = MqttConnection(
            session,
            Route(down(party, "blk"), down(party, "rsp")),
            binding_of(self._topics, party, opener, listener),
            party,
            ended=lambda ended: self._forget(party, ended),
        )
        guest = self._guests[party] = _Guest(opener, listener, connection)
        self._arrive(connection)
        return guest

    async def _hear(
        self, session: Session, party: str, guest: _Guest, wanted: tuple[str, ...]
    ) -> None:
        """Subscribe to a guest's topics, then admit it: what it sends finds somebody."""
        try:
            await session.subscribe(*wanted)
        except TransportError as error:
            _LOG.warning("%s cannot come in: %s", party, error)
            guest.connection.sever(str(error))
            return
        if self._guests.get(party) is guest:
            self._tell_admitted(party, guest)

    def _tell_admitted(self, party: str, guest: _Guest) -> None:
        note = Note(Kind.ADMITTED, guest.opener + guest.listener + self._birth)
        self._answer(party, "rsp", note, correlation_of(self._topics, party, guest.opener))

    def _forget(self, party: str, connection: MqttConnection) -> None:
        guest = self._guests.get(party)
        if guest is not None and guest.connection is connection:
            del self._guests[party]
        session, wanted = self._session, self.share.of_guest(self._topics, party)
        if session is None or not wanted:
            return
        if connection.broken:
            self._answer(party, "req", Note(Kind.STRANGE, tag=connection.tag), None)
        self._start(self._hear_no_more(session, party, wanted))

    async def _hear_no_more(self, session: Session, party: str, wanted: tuple[str, ...]) -> None:
        if party not in self._guests:  # nor has it come again
            await session.unsubscribe(*wanted)

    # ---- answers ---------------------------------------------------------------------------------

    def _answer(self, party: str, what: str, note: Note, correlation: bytes | None) -> None:
        session = self._session
        if session is None or len(self._answers) >= _MOST_ANSWERS:
            return  # who gets no answer asks again
        topic = self._topics.down(party, what)
        envelope = Envelope(_EXPIRY_S, correlation=correlation)
        self._start(_publish(session, topic, note.encode(), envelope))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


async def _publish(session: Session, topic: str, payload: bytes, envelope: Envelope) -> None:
    with suppress(Unreachable):
        await session.turn()
        session.put(topic, payload, envelope)
