"""Where the aggregator waits for parties at a broker.

Rules:
- the broker may go and come: every connection breaks with it, parties come again, and what was
  under way goes on where it stopped. The waits between attempts are drawn (`transport.backoff`);
- a party has one connection; a newer request to open takes the place of an older one, and the same
  request again gets the same answer;
- whoever takes this aggregator's place at the broker (same client id) ends the listener for good:
  two aggregators that send each other away would serve nobody. The broker says so, or does not;
  then it shows when the listener comes back and finds the birth of another that came later. Births
  begin with a time, because a broker that was killed shows an older birth than the last one;
- a party that the broker reports dead is given up, where the death is that of its present session.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare.transport.base import Admit, Connection
from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import Envelope, Stay, Will
from dreamshare.transport.mqtt.connection import MqttConnection, Route
from dreamshare.transport.mqtt.link import Draw, MqttStay
from dreamshare.transport.mqtt.notes import (
    NONCE_BYTES,
    Kind,
    Note,
    Topics,
    binding_of,
    check_party,
    correlation_of,
    decode_note,
)
from dreamshare.transport.mqtt.session import Arrived, Session, TakenOver, open_session
from dreamshare.transport.tls import TlsFiles

_LOG = logging.getLogger(__name__)

_RECEIVE_MAXIMUM = 512
_KEEPALIVE_S = 30
_DEATH_DELAY_S = 5
_ANSWER = Envelope(expiry_s=60)
_RETAINED = Envelope(retain=True)
_MOST_ANSWERS = 4096
_TIME_BYTES = 8  # of a birth: microseconds since 1970
_FENCE_S = 1.0  # in which a broker shows what it retains
_WAITS = BackoffSettings(first_s=0.25, longest_s=15.0)


@dataclass(frozen=True, slots=True)
class _Guest:
    """A party's connection, and the nonces that made it."""

    opener: bytes
    listener: bytes
    connection: MqttConnection


class MqttListener:
    """The aggregator's end of a federation at a broker.

    Args:
        url: of the broker, as for MqttLink.
        party: the aggregator's hex id, its client id.
        federation: its hex id.
        tls: own certificate and trusted roots; wanted for mqtts and wss.
        admit: asked about the id that the broker vouches for; refused parties see Rejected.
        stay: how to be at the broker; `death_delay_s` is the parties' alone.
        clock: times the waits between attempts to reach the broker.
        rng: their jitter.
        draw: random bytes; the system's by default.

    Raises:
        ConfigError: the URL, or what it needs, is missing or contradictory.
    """

    def __init__(
        self,
        url: str,
        party: str,
        federation: str,
        tls: TlsFiles | None = None,
        *,
        admit: Admit | None = None,
        stay: MqttStay | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        self._address = parse_broker(url)
        if self._address.secure and tls is None:
            raise ConfigError(f"{url} wants TLS: give this party's certificate and roots")
        check_party(party)
        self._tls = tls if self._address.secure else None
        self._party = party
        self._admit = admit
        self._stay = stay or MqttStay()
        self._topics = Topics(federation, self._stay.namespace)
        self._clock = clock or SystemClock()
        self._backoff = Backoff(_WAITS, rng or random.Random())
        self._draw = draw
        self._session: Session | None = None
        self._birth = b""
        self._guests: dict[str, _Guest] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._arrivals: asyncio.Queue[Connection | Unreachable | None] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        try:
            self._session = await self._come()
        except Rejected as error:
            raise ConfigError(f"cannot listen: {error}") from None
        except Unreachable as error:
            _LOG.warning("%s; trying again", error)
        self._serving = asyncio.ensure_future(self._serve())

    async def connections(self) -> AsyncIterator[Connection]:
        while not self._closed and (arrival := await self._arrivals.get()) is not None:
            if isinstance(arrival, Unreachable):
                raise arrival
            yield arrival

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._arrivals.put_nowait(None)
        if self._session is not None:
            await asyncio.gather(*(each.connection.close() for each in self._present()))
            await self._leave(self._session)
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})

    def renew(self, tls: TlsFiles) -> None:
        """Show another certificate from the next session on; raises ConfigError where in clear."""
        if self._tls is None:
            raise ConfigError(f"{self._address} is in clear: there is nothing to renew")
        self._tls = tls

    def __str__(self) -> str:
        return self._address.url

    # ---- at the broker ---------------------------------------------------------------------------

    async def _come(self) -> Session:
        """Connect, subscribe and say that the aggregator is here; Unreachable, Rejected."""
        topics = self._topics
        micros = max(int(self._clock.now() * 1e6), _micros(self._birth) + 1)
        birth = micros.to_bytes(_TIME_BYTES, "big") + self._draw(NONCE_BYTES - _TIME_BYTES)
        session = await open_session(
            self._address,
            self._tls,
            Stay(self._party, _RECEIVE_MAXIMUM, self._stay.session_expiry_s, _KEEPALIVE_S),
            Will(topics.hub("state"), Note(Kind.DEATH, birth).encode(), _DEATH_DELAY_S, True),
            self._stay.connect_timeout_s,
        )
        try:
            if self._birth:
                await self._look_for_another(session)
            await session.subscribe(topics.up("+", "+"), topics.state("+"))
            note = Note(Kind.BIRTH, birth).encode()
            refusal = await session.publish(topics.hub("state"), note, _RETAINED)
            if refusal is not None and not refusal.nobody:
                raise Rejected(
                    f"{self._address} does not let {self._party} speak on {topics.hub('state')} "
                    f"({refusal}); the broker's configuration names another aggregator"
                )
        except BaseException:
            await session.close()
            raise
        self._birth = birth
        return session

    async def _look_for_another(self, session: Session) -> None:
        """Raise TakenOver where another aggregator has told its birth since this one's last.

        An earlier birth is none: a broker that was killed goes back to what it had written down.
        """
        topic = self._topics.hub("state")
        await session.subscribe(topic, retained=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FENCE_S):
                async for arrived in session.arrivals():
                    note = decode_note(arrived.payload) if arrived.topic == topic else None
                    if note is None:
                        continue  # somebody who asks again
                    if note.kind is Kind.BIRTH and _micros(note.rest) > _micros(self._birth):
                        raise TakenOver(
                            f"{self._address}: another aggregator has taken this one's place"
                        )
                    break
        await session.unsubscribe(topic)

    async def _leave(self, session: Session) -> None:
        note = Note(Kind.DEATH, self._birth).encode()
        await session.unsubscribe(self._topics.up("+", "+"), self._topics.state("+"))
        with suppress(Unreachable, TimeoutError):
            async with asyncio.timeout(_DEATH_DELAY_S):
                await session.publish(self._topics.hub("state"), note, _RETAINED)
        await session.close()

    async def _serve(self) -> None:
        started = self._clock.now()
        while not self._closed:
            try:
                if self._session is None:
                    started = self._clock.now()
                    self._session = await self._come()
                async for arrived in self._session.arrivals():
                    self._take(arrived)
            except TakenOver as error:
                self._arrivals.put_nowait(error)
                return
            except (Unreachable, Rejected) as error:
                if not self._closed:
                    _LOG.warning("%s; trying again", error)
            finally:
                self._lose_everybody()
            if not self._closed:
                await self._part()
                wait = self._backoff.next_wait(self._clock.now() - started)
                await self._clock.sleep_until(self._clock.now() + wait)

    async def _part(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _lose_everybody(self) -> None:
        for answer in self._answers:
            answer.cancel()
        for guest in self._present():
            guest.connection.sever("the connection to the broker broke")

    def _present(self) -> tuple[_Guest, ...]:
        return tuple(self._guests.values())

    # ---- what parties say ------------------------------------------------------------------------

    def _take(self, arrived: Arrived) -> None:
        note = decode_note(arrived.payload)
        sender = self._topics.sender(arrived.topic)
        if note is None or sender is None or arrived.envelope.retain:
            return  # nobody's, or what the broker kept from another day
        party, place = sender
        guest = self._guests.get(party)
        match note.kind, place:
            case Kind.OPEN, "up/req":
                self._take_request(party, note.rest, arrived.envelope)
            case (Kind.PACKET | Kind.END, "up/blk") | (Kind.TAKEN, "up/rsp"):
                if guest is not None and guest.connection.tag == note.tag:
                    guest.connection.take(note)
                elif note.kind is Kind.PACKET:
                    self._answer(party, "req", Note(Kind.STRANGE, tag=note.tag), None)
            case Kind.DEATH, "state":
                if guest is not None and guest.opener == note.rest:
                    guest.connection.sever("the broker says that the party is gone")

    def _take_request(self, party: str, opener: bytes, envelope: Envelope) -> None:
        topics = self._topics
        correlation = correlation_of(topics, party, opener)
        if (envelope.response_topic, envelope.correlation) != (
            topics.down(party, "rsp"),
            correlation,
        ):
            _LOG.warning("a request of %s wants its answer elsewhere; dropped", party)
            return
        if self._closed or self._session is None:
            return
        guest = self._guests.get(party)
        if guest is None or guest.opener != opener:
            if self._admit is not None and not self._admit(party):
                words = f"{party} is not admitted here".encode()
                self._answer(party, "rsp", Note(Kind.REFUSED, opener + words), correlation)
                return
            if guest is not None:
                guest.connection.sever("the party came again")
            guest = self._welcome(self._session, party, opener)
        rest = opener + guest.listener + self._birth
        self._answer(party, "rsp", Note(Kind.ADMITTED, rest), correlation)

    def _welcome(self, session: Session, party: str, opener: bytes) -> _Guest:
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
        self._arrivals.put_nowait(connection)
        return guest

    def _forget(self, party: str, connection: MqttConnection) -> None:
        guest = self._guests.get(party)
        if guest is not None and guest.connection is connection:
            del self._guests[party]

    def _answer(self, party: str, what: str, note: Note, correlation: bytes | None) -> None:
        session = self._session
        if session is None or len(self._answers) >= _MOST_ANSWERS:
            return  # who gets no answer asks again
        topic = self._topics.down(party, what)
        envelope = Envelope(_ANSWER.expiry_s, correlation=correlation)
        task = asyncio.ensure_future(_publish(session, topic, note.encode(), envelope))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


def _micros(birth: bytes) -> int:
    """Return when an aggregator came to the broker, by its own clock; 0 for "not yet"."""
    return int.from_bytes(birth[:_TIME_BYTES], "big")


async def _publish(session: Session, topic: str, payload: bytes, envelope: Envelope) -> None:
    with suppress(Unreachable):
        await session.turn()
        session.put(topic, payload, envelope)
