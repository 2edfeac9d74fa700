"""A device's or an operator's way to the aggregator over a broker.

Rules:
- two subscriptions for life: what the aggregator says to all (`b/+`) and to this party (`dn/+`);
- a connection is asked for and admitted by the aggregator; both ends draw a nonce for it, so that
  nothing of an older one fits;
- the aggregator's retained state is not looked at: whether it is there shows when it answers. Its
  birth and death are, while a connection is open, because they end it sooner than silence does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.base import Connection
from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import Envelope, Stay, Will
from dreamshare.transport.mqtt.connection import WINDOW_PACKETS, MqttConnection, Route
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
from dreamshare.transport.mqtt.session import Arrived, Session, open_session
from dreamshare.transport.tls import TlsFiles

Draw = Callable[[int], bytes]
"""So many random bytes."""

_RECEIVE_MAXIMUM = 8
_KEEPALIVE_S = 60


@dataclass(frozen=True, slots=True)
class MqttStay:
    """How a party stays at its broker.

    Attributes:
        namespace: what every topic begins with; the same at every party of the federation.
        session_expiry_s: how long the broker keeps this party's session while it is away, 0 to
            28,800 s; an optimisation that nothing relies on.
        death_delay_s: how long the broker waits before it tells that this party is gone, >= 0 s:
            a flap that is shorter is nobody's business.
        connect_timeout_s: > 0, until an attempt to connect is given up.
    """

    namespace: str = "dreamshare"
    session_expiry_s: int = 3600
    death_delay_s: int = 30
    connect_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if self.death_delay_s < 0 or not self.connect_timeout_s > 0:
            raise ConfigError("death_delay_s must be >= 0 and connect_timeout_s > 0 seconds")


class MqttLink:
    """The way to an aggregator's MqttListener.

    Args:
        url: of the broker: "mqtts://host:port", "wss://host:port/path"; on loopback also "mqtt://"
            and "ws://", where everybody on the machine can speak for this party.
        party: this party's hex id, which is its client id.
        federation: its hex id.
        tls: own certificate and trusted roots; wanted for mqtts and wss.
        stay: how to be at the broker.
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
        stay: MqttStay | None = None,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        self._address = parse_broker(url)
        if self._address.secure and tls is None:
            raise ConfigError(f"{url} wants TLS: give this party's certificate and roots")
        check_party(party)
        self._tls = tls if self._address.secure else None
        self._party = party
        self._stay = stay or MqttStay()
        self._topics = Topics(federation, self._stay.namespace)
        self._draw = draw

    async def connect(self) -> Connection:
        nonce = self._draw(NONCE_BYTES)
        session = await open_session(
            self._address,
            self._tls,
            Stay(self._party, _RECEIVE_MAXIMUM, self._stay.session_expiry_s, _KEEPALIVE_S),
            Will(
                self._topics.state(self._party),
                Note(Kind.DEATH, nonce).encode(),
                self._stay.death_delay_s,
            ),
            self._stay.connect_timeout_s,
        )
        call = _Call(self._address.url, session, self._topics, self._party, nonce)
        try:
            return await call.opened(self._stay.connect_timeout_s)
        except BaseException:
            await call.close()
            raise

    def renew(self, tls: TlsFiles) -> None:
        """Show another certificate from the next session on; raises ConfigError where in clear."""
        if self._tls is None:
            raise ConfigError(f"{self._address} is in clear: there is nothing to renew")
        self._tls = tls

    def __str__(self) -> str:
        return self._address.url


class _Call:
    """One session of the link and the connection that it carries."""

    def __init__(
        self, url: str, session: Session, topics: Topics, party: str, nonce: bytes
    ) -> None:
        self._url = url
        self._session = session
        self._topics = topics
        self._party = party
        self._nonce = nonce
        self._correlation = correlation_of(topics, party, nonce)
        self._admitted: asyncio.Future[MqttConnection] = asyncio.get_running_loop().create_future()
        self._connection: MqttConnection | None = None
        self._early: list[Note] = []  # nothing orders topics among each other
        self._hub_birth = b""
        self._reader = asyncio.ensure_future(self._read())

    async def opened(self, timeout_s: float) -> Connection:
        """Subscribe, tell the birth, ask for a connection and wait for the answer."""
        topics, party = self._topics, self._party
        await self._session.subscribe(topics.hub("+"), topics.down(party, "+"))
        expiry_s = max(1, round(timeout_s))
        request = Envelope(expiry_s, topics.down(party, "rsp"), self._correlation)
        wants = (
            (topics.state(party), Kind.BIRTH, Envelope(expiry_s)),
            (topics.up(party, "req"), Kind.OPEN, request),
        )
        for topic, kind, envelope in wants:
            refusal = await self._session.publish(topic, Note(kind, self._nonce).encode(), envelope)
            if refusal is not None and not refusal.nobody:
                raise Rejected(
                    f"{self._url} does not let this party speak on {topic} ({refusal}); look at "
                    "the broker's configuration"
                )
            if refusal is not None:
                raise Unreachable(f"no aggregator of this federation is at {self._url} ({refusal})")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._admitted
        except TimeoutError:
            raise Unreachable(
                f"the aggregator did not answer at {self._url} within {timeout_s:g} s; is it there?"
            ) from None

    async def close(self) -> None:
        """Leave the broker; idempotent."""
        await self._session.close()
        self._reader.cancel()
        await asyncio.wait({self._reader})
        if self._admitted.done() and not self._admitted.cancelled():
            self._admitted.exception()

    async def _read(self) -> None:
        try:
            async for arrived in self._session.arrivals():
                self._take(arrived)
        except Unreachable as error:
            if self._connection is not None:
                self._connection.sever(str(error))
            elif not self._admitted.done():
                self._admitted.set_exception(error)

    def _take(self, arrived: Arrived) -> None:
        note = decode_note(arrived.payload)
        if note is None or arrived.envelope.retain:
            return  # nobody's, or what the broker kept from another day
        down = self._topics.down
        match note.kind:
            case Kind.ADMITTED | Kind.REFUSED if arrived.topic == down(self._party, "rsp"):
                self._take_answer(note, arrived.envelope.correlation)
            case Kind.BIRTH | Kind.DEATH if arrived.topic == self._topics.hub("state"):
                self._take_state(note)
            case Kind.PACKET | Kind.END if arrived.topic == down(self._party, "blk"):
                self._pass_on(note)
            case Kind.TAKEN if arrived.topic == down(self._party, "rsp"):
                self._pass_on(note)
            case Kind.STRANGE if arrived.topic == down(self._party, "req"):
                if self._connection is not None and note.tag == self._connection.tag:
                    self._connection.sever("the aggregator started anew")

    def _pass_on(self, note: Note) -> None:
        if self._connection is None:
            self._early = [*self._early, note][:WINDOW_PACKETS]
        elif note.tag == self._connection.tag:
            self._connection.take(note)

    def _take_answer(self, note: Note, correlation: bytes | None) -> None:
        opener, rest = note.rest[:NONCE_BYTES], note.rest[NONCE_BYTES:]
        if opener != self._nonce or correlation != self._correlation or self._admitted.done():
            return  # an answer to another attempt
        if note.kind is Kind.REFUSED:
            self._admitted.set_exception(Rejected(f"{self._url}: {rest.decode(errors='replace')}"))
            return
        listener, self._hub_birth = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        binding = binding_of(self._topics, self._party, opener, listener)
        up = self._topics.up
        route = Route(up(self._party, "blk"), up(self._party, "rsp"))
        self._connection = MqttConnection(self._session, route, binding, None, leave=self.close)
        self._admitted.set_result(self._connection)
        early, self._early = self._early, []
        for note in early:
            self._pass_on(note)

    def _take_state(self, note: Note) -> None:
        same = note.rest == self._hub_birth
        if self._connection is not None and same == (note.kind is Kind.DEATH):
            words = "went away" if same else "started anew"
            self._connection.sever(f"the aggregator {words}")
