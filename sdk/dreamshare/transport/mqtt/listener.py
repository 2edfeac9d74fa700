"""Where the aggregator waits for parties at a broker.

Rules:
- the broker may go and come: every connection breaks with it, parties come again, and what was
  under way goes on where it stopped. The waits between attempts are drawn (`transport.backoff`);
- whoever takes this aggregator's place at the broker (same client id) ends the listener for good:
  two aggregators that send each other away would serve nobody. The broker says so, or does not;
  then it shows when the listener comes back and finds the birth of another that came later. Births
  begin with a time, because a broker that was killed shows an older birth than the last one;
- where seats of shards share the parties, it keeps to what `share.Share` says (17.38).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare.transport.base import Admit, Connection, Place
from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import Envelope, Stay, Will
from dreamshare.transport.mqtt.guests import Guests
from dreamshare.transport.mqtt.link import Draw, MqttStay
from dreamshare.transport.mqtt.notes import (
    NONCE_BYTES,
    Kind,
    Note,
    Topics,
    check_party,
    decode_note,
)
from dreamshare.transport.mqtt.session import Session, TakenOver, open_session
from dreamshare.transport.mqtt.share import Share
from dreamshare.transport.tls import TlsFiles

_LOG = logging.getLogger(__name__)

_RECEIVE_MAXIMUM = 512
_KEEPALIVE_S = 30
_DEATH_DELAY_S = 5
_RETAINED = Envelope(retain=True)
_AT_ONCE = Envelope(expiry_s=60)
_TIME_BYTES = 8  # of a birth: microseconds since 1970
_FENCE_S = 1.0  # in which a broker shows what it retains
_WAITS = BackoffSettings(first_s=0.25, longest_s=15.0)


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
        share: which part of the parties is heard.

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
        share: Share = Share.WHOLE,
    ) -> None:
        self._address = parse_broker(url)
        if self._address.secure and tls is None:
            raise ConfigError(f"{url} wants TLS: give this party's certificate and roots")
        check_party(party)
        self._tls = tls if self._address.secure else None
        self._party = party
        self._stay = stay or MqttStay()
        self._topics = topics = Topics(federation, self._stay.namespace)
        self._births = topics.state(party) if share is Share.SEAT else topics.hub("state")
        self._clock = clock or SystemClock()
        self._backoff = Backoff(_WAITS, rng or random.Random())
        self._draw = draw
        self._session: Session | None = None
        self._birth = b""
        self._arrivals: asyncio.Queue[Connection | Unreachable | None] = asyncio.Queue()
        arrive = self._arrivals.put_nowait
        self._guests = Guests(topics, admit, draw, arrive, share)
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
            await self._guests.close()
            await self._leave(self._session)
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})

    def renew(self, tls: TlsFiles) -> None:
        """Show another certificate from the next session on; raises ConfigError where in clear."""
        if self._tls is None:
            raise ConfigError(f"{self._address} is in clear: there is nothing to renew")
        self._tls = tls

    def spread(self, place: Place) -> None:
        """Have seats of shards answer some of the requests; before `start`.

        Args:
            place: asked about each request; True where it was passed to a seat.
        """
        self._guests.share = Share.ROOT
        self._guests.place = place

    def invite(self, party: str, opener: bytes) -> None:
        """Admit a party that asked with this nonce; its request was seen elsewhere, or before."""
        self._guests.welcome(party, opener)

    def __str__(self) -> str:
        return self._address.url

    # ---- at the broker ---------------------------------------------------------------------------

    async def _come(self) -> Session:
        """Connect, subscribe and say that the aggregator is here; Unreachable, Rejected."""
        topics, share = self._topics, self._guests.share
        micros = max(int(self._clock.now() * 1e6), _micros(self._birth) + 1)
        birth = micros.to_bytes(_TIME_BYTES, "big") + self._draw(NONCE_BYTES - _TIME_BYTES)
        expiry_s, delay_s = self._stay.session_expiry_s, _DEATH_DELAY_S
        if share is not Share.WHOLE:
            expiry_s = delay_s = 0
        death = Note(Kind.DEATH, birth).encode()
        session = await open_session(
            self._address,
            self._tls,
            Stay(self._party, _RECEIVE_MAXIMUM, expiry_s, _KEEPALIVE_S),
            Will(topics.hub("state"), death, delay_s, share is not Share.SEAT),
            self._stay.connect_timeout_s,
        )
        try:
            if self._birth:
                await self._look_for_another(session)
            heard = share.of_all(topics)
            if heard:
                await session.subscribe(*heard)
            await self._announce(session, birth)
        except BaseException:
            await session.close()
            raise
        self._birth = birth
        self._guests.begin(session, birth)
        return session

    async def _announce(self, session: Session, birth: bytes) -> None:
        """Tell this stay's birth; of a seat also that its last stay is over: a will may be lost."""
        notes = [(self._births, Note(Kind.BIRTH, birth), _RETAINED)]
        if self._guests.share is Share.SEAT:
            death = Note(Kind.DEATH, self._birth or bytes(NONCE_BYTES))
            notes.append((self._topics.hub("state"), death, _AT_ONCE))
        for topic, note, envelope in notes:
            refusal = await session.publish(topic, note.encode(), envelope)
            if refusal is not None and not refusal.nobody:
                raise Rejected(
                    f"{self._address} does not let {self._party} speak on {topic} ({refusal}); "
                    "the broker's configuration names another aggregator, or fewer seats"
                )

    async def _look_for_another(self, session: Session) -> None:
        """Raise TakenOver where another of this id has told its birth since this one's last.

        An earlier birth is none: a broker that was killed goes back to what it had written down.
        """
        topic = self._births
        await session.subscribe(topic, retained=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FENCE_S):
                async for arrived in session.arrivals():
                    note = decode_note(arrived.payload) if arrived.topic == topic else None
                    if note is None or (note.kind is Kind.DEATH and not arrived.envelope.retain):
                        continue  # somebody who asks again, or the death of a seat
                    if note.kind is Kind.BIRTH and _micros(note.rest) > _micros(self._birth):
                        raise TakenOver(
                            f"{self._address}: another aggregator, or another shard with the same "
                            "seat, has taken this one's place"
                        )
                    break
        await session.unsubscribe(topic)

    async def _leave(self, session: Session) -> None:
        note = Note(Kind.DEATH, self._birth).encode()
        share = self._guests.share
        heard = share.of_all(self._topics)
        if heard:
            await session.unsubscribe(*heard)
        envelope = _AT_ONCE if share is Share.SEAT else _RETAINED
        with suppress(Unreachable, TimeoutError):
            async with asyncio.timeout(_DEATH_DELAY_S):
                await session.publish(self._topics.hub("state"), note, envelope)
        await session.close()

    async def _serve(self) -> None:
        started = self._clock.now()
        while not self._closed:
            try:
                if self._session is None:
                    started = self._clock.now()
                    self._session = await self._come()
                async for arrived in self._session.arrivals():
                    self._guests.take(arrived)
            except TakenOver as error:
                self._arrivals.put_nowait(error)
                return
            except (Unreachable, Rejected) as error:
                if not self._closed:
                    _LOG.warning("%s; trying again", error)
            finally:
                self._guests.lose()
            if not self._closed:
                await self._part()
                wait = self._backoff.next_wait(self._clock.now() - started)
                await self._clock.sleep_until(self._clock.now() + wait)

    async def _part(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _micros(birth: bytes) -> int:
    """Return when an aggregator came to the broker, by its own clock; 0 for "not yet"."""
    return int.from_bytes(birth[:_TIME_BYTES], "big")
