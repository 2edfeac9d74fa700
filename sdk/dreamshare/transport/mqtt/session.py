"""One client's time at the broker.

Rules:
- aiomqtt acknowledges a message when it arrives, before anybody has seen it: nothing above relies
  on MQTT's acknowledgements, and its queue is unbounded here because `arrivals` is read at once,
  and what is held for slow readers is bounded by the credit of their connections;
- a publish waits while the broker owes as many acknowledgements as it takes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import NamedTuple

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from dreamshare.errors import Rejected, TransportError, Unreachable
from dreamshare.transport.mqtt.address import BrokerAddress
from dreamshare.transport.mqtt.client import (
    OVERHEAD,
    BrokerClient,
    Envelope,
    Stay,
    Will,
    tls_context,
)
from dreamshare.transport.tls import TlsFiles

LEAST_PACKET = 4096
"""Bytes of ours that a broker must take at once; a greeting has to fit."""

_TAKEN_OVER = 0x8E
_NO_SUBSCRIBER = 0x10
_GRACE_S = 3.0


class TakenOver(Unreachable):
    """Another client of the same id came: the broker has sent this one away."""


class Refusal(NamedTuple):
    """A reason code of the broker's for a message that it did not take on."""

    code: int
    name: str

    def __str__(self) -> str:
        return f"reason code {self.code}, {self.name}"

    @property
    def nobody(self) -> bool:
        """Whether the only fault is that nobody subscribes to the topic."""
        return self.code == _NO_SUBSCRIBER


class Arrived(NamedTuple):
    """A message that the broker delivered."""

    topic: str
    payload: bytes
    envelope: Envelope


class Session:
    """A client that is connected, until it is not; made by `open_session`."""

    def __init__(self, client: BrokerClient, address: BrokerAddress) -> None:
        self._client = client
        self._address = address
        self._turns = asyncio.Semaphore(client.outstanding)
        self.packet_limit = client.packet_limit

    async def subscribe(self, *filters: str, retained: bool = False) -> None:
        """Subscribe with QoS 1; `retained`: also to what the broker keeps for whoever comes.

        Raises:
            Rejected: the broker does not allow it; the text has its reason code.
            Unreachable: the broker is gone.
        """
        options = SubscribeOptions(qos=1, retainHandling=0 if retained else 2)
        wanted = [(each, options) for each in filters]
        try:
            answers = await self._client.subscribe(wanted)
        except aiomqtt.MqttError as error:
            raise self._gone(error) from None
        for each, answer in zip(filters, answers, strict=True):
            if isinstance(answer, ReasonCode) and answer.is_failure:
                refusal = _refusal(answer)
                raise Rejected(f"{self._address} does not let this party hear {each} ({refusal})")

    async def unsubscribe(self, *filters: str) -> None:
        """Give subscriptions up, where the broker still listens."""
        with suppress(aiomqtt.MqttError):
            await self._client.unsubscribe(list(filters), timeout=_GRACE_S)

    async def turn(self) -> None:
        """Wait until a message may be `put`; a turn that is not used is given back by `skip`."""
        await self._turns.acquire()

    def skip(self) -> None:
        """Give a turn back."""
        self._turns.release()

    def put(
        self,
        topic: str,
        payload: bytes,
        envelope: Envelope,
        refused: Callable[[Refusal], None] | None = None,
    ) -> asyncio.Future[ReasonCode]:
        """Publish with QoS 1, after `turn`; messages leave in the order of the calls.

        Args:
            topic, payload, envelope: what is published.
            refused: told when the broker acknowledges with a reason code other than success.

        Raises:
            Unreachable: the broker is gone.
        """
        try:
            answer = self._client.put(topic, payload, envelope)
        except aiomqtt.MqttError as error:
            self._turns.release()
            raise self._gone(error) from None
        answer.add_done_callback(lambda done: self._answered(done, refused))
        return answer

    async def publish(self, topic: str, payload: bytes, envelope: Envelope) -> Refusal | None:
        """Publish and wait for the broker's word; None is success; Unreachable."""
        await self.turn()
        answer = self.put(topic, payload, envelope)
        try:
            return _refusal(await answer)
        except aiomqtt.MqttError as error:
            raise self._gone(error) from None

    async def arrivals(self) -> AsyncIterator[Arrived]:
        """Yield what arrives until the session ends; read it at once.

        Raises:
            TakenOver, Unreachable: how it ended.
        """
        try:
            async for message in self._client.messages:
                yield _arrived(message)
        except aiomqtt.MqttError as error:
            raise self._gone(error) from None

    async def close(self) -> None:
        """Say goodbye, so that the Will is not told; idempotent, never raises.

        What was published is waited for: a socket that is closed with answers unread is reset, and
        takes with it what the broker has not read.
        """
        waiting = self._client.unanswered
        if waiting:
            await asyncio.wait(waiting, timeout=_GRACE_S)
        with suppress(aiomqtt.MqttError, OSError, ValueError):
            await self._client.__aexit__(None, None, None)
        self._client.give_up()

    def _answered(
        self, done: asyncio.Future[ReasonCode], refused: Callable[[Refusal], None] | None
    ) -> None:
        self._turns.release()
        if done.cancelled() or done.exception() is not None:
            return  # the session is over, and says so elsewhere
        refusal = _refusal(done.result())
        if refusal is not None and refused is not None:
            refused(refusal)

    def _gone(self, error: aiomqtt.MqttError) -> Unreachable:
        cause = error if isinstance(error, aiomqtt.MqttCodeError) else error.__cause__
        if isinstance(cause, aiomqtt.MqttCodeError) and isinstance(cause.rc, ReasonCode):
            if cause.rc.value == _TAKEN_OVER:
                return TakenOver(
                    f"{self._address}: another client came with this party's id, and the broker "
                    "has sent this one away (reason code 142, session taken over)"
                )
            return Unreachable(f"the broker {self._address} ended the session ({cause})")
        return Unreachable(f"the connection to {self._address} broke ({error}); connect again")


async def open_session(
    address: BrokerAddress, tls: TlsFiles | None, stay: Stay, will: Will, timeout_s: float
) -> Session:
    """Connect to a broker.

    Raises:
        Unreachable: nobody answered.
        Rejected: the broker refuses this identity, shows a certificate that leads nowhere, or takes
            packets too small to work with.
    """
    client = BrokerClient(address, None if tls is None else tls_context(tls), stay, will, timeout_s)
    connecting = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(client.abandon)
        raise
    except aiomqtt.MqttError as error:
        client.drop()
        raise _failure(address, error) from None
    session = Session(client, address)
    if session.packet_limit < LEAST_PACKET:
        await session.close()
        raise Rejected(
            f"{address} takes packets of at most {session.packet_limit + OVERHEAD} bytes; its "
            f"operator has to allow {LEAST_PACKET + OVERHEAD} or more (max_packet_size)"
        )
    return session


def _arrived(message: aiomqtt.Message) -> Arrived:
    beside = message.properties
    envelope = Envelope(
        response_topic=getattr(beside, "ResponseTopic", None),
        correlation=getattr(beside, "CorrelationData", None),
        retain=message.retain,
    )
    return Arrived(str(message.topic), message.payload, envelope)


def _refusal(code: ReasonCode) -> Refusal | None:
    return None if code.value == 0 else Refusal(code.value, str(code).lower())


def _failure(address: BrokerAddress, error: aiomqtt.MqttError) -> TransportError:
    """Return the error that says why the broker could not be connected to."""
    code = error.rc if isinstance(error, MqttConnectError) else None
    if isinstance(code, ReasonCode) and code.value in _UNWELCOME:
        return Rejected(
            f"the broker {address} does not take this identity (reason code {code.value}, "
            f"{str(code).lower()}); enrol it again, or look at the broker's configuration"
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Rejected(
            f"{address} shows a certificate that this identity does not trust, or that is not for "
            f"this host; check the address, or enrol again ({error})"
        )
    return Unreachable(
        f"the broker {address} cannot be reached: {error}. Check address and network; where "
        "something answers, it may not speak MQTT 5 over TLS or may refuse this certificate"
    )


_UNWELCOME = frozenset(
    {
        0x84,  # unsupported protocol version
        0x85,  # client identifier not valid
        0x86,  # bad user name or password
        0x87,  # not authorized
        0x8A,  # banned
        0x8C,  # bad authentication method
    }
)
