"""aiomqtt's client, with the answers of the broker that it does not keep (docs/adr/0014).

Rules:
- aiomqtt keeps no reason code of a PUBACK and no limit of a CONNACK, so both are looked at here
  before it drops them; this file alone knows its inner methods;
- a publish is handed over at once and answered by a future: order is that of the calls.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from dataclasses import dataclass

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from aiomqtt.types import PahoSocket
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from dreamshare.errors import ConfigError
from dreamshare.transport.base import PACKET_LIMIT
from dreamshare.transport.mqtt.address import BrokerAddress
from dreamshare.transport.tls import TlsFiles

OVERHEAD = 512
"""Bytes of an MQTT packet around one of ours: topic, properties, note."""

WEBSOCKET_PACKET = 8 * 1024
"""Bytes of an MQTT packet over websockets, at most.

Debian's Mosquitto stops in the middle of larger ones until the client is silent for its keepalive,
and paho masks every byte in Python.
"""

LONGEST_EXPIRY_S = 8 * 3600
"""Seconds that a broker may be asked to keep an absent client's session."""

_OUTSTANDING = 32  # publishes that wait for their PUBACK, at most


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MQTT 5 says beside a payload.

    Attributes:
        expiry_s: whole seconds after which the broker throws the message away; None: never.
        response_topic: where an answer is wanted.
        correlation: which request this is, or which one it answers.
        retain: the broker shows it to whoever subscribes later.
    """

    expiry_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when this client is gone without a goodbye, `delay_s` later."""

    topic: str
    payload: bytes
    delay_s: int
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """How a client wants to be at the broker.

    Attributes:
        client_id: the party's hex id; who comes later with the same takes the place of this one.
        receive_maximum: messages that the broker may send before they are acknowledged.
        session_expiry_s: how long the broker keeps subscriptions and messages of an absent client,
            0 to 28,800.
        keepalive_s: seconds of silence after which this client says that it is there.
    """

    client_id: str
    receive_maximum: int
    session_expiry_s: int
    keepalive_s: int

    def __post_init__(self) -> None:
        if not 0 <= self.session_expiry_s <= LONGEST_EXPIRY_S:
            raise ConfigError(
                f"session expiry {self.session_expiry_s} s: 0 to {LONGEST_EXPIRY_S} (8 hours)"
            )


class BrokerClient(aiomqtt.Client):
    """aiomqtt's client, with the answers of the broker that it does not keep."""

    def __init__(
        self,
        address: BrokerAddress,
        context: ssl.SSLContext | None,
        stay: Stay,
        will: Will,
        timeout_s: float,
    ) -> None:
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.SessionExpiryInterval = stay.session_expiry_s
        connect.ReceiveMaximum = stay.receive_maximum
        connect.MaximumPacketSize = PACKET_LIMIT + OVERHEAD
        farewell = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        farewell.WillDelayInterval = will.delay_s
        super().__init__(
            address.host,
            address.port,
            username=None if address.secure else stay.client_id,
            identifier=stay.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=stay.session_expiry_s == 0,  # nothing that is kept is wanted
            will=aiomqtt.Will(will.topic, will.payload, 1, will.retain, farewell),
            transport="tcp" if address.path is None else "websockets",
            websocket_path=address.path,
            tls_context=context,
            timeout=timeout_s,
            keepalive=stay.keepalive_s,
            max_inflight_messages=_OUTSTANDING,
            properties=connect,
        )
        self.pending_calls_threshold = _OUTSTANDING
        self._client.connect_timeout = timeout_s
        self._home = threading.get_ident()
        self._granted: Properties | None = None
        self._most = PACKET_LIMIT + OVERHEAD if address.path is None else WEBSOCKET_PACKET
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}

    @property
    def packet_limit(self) -> int:
        """Largest packet of ours that the broker takes."""
        return min(self._most, self._grant("MaximumPacketSize", 2**28)) - OVERHEAD

    @property
    def outstanding(self) -> int:
        """Publishes that may wait for their acknowledgement."""
        return min(_OUTSTANDING, self._grant("ReceiveMaximum", 65_535))

    @property
    def unanswered(self) -> tuple[asyncio.Future[ReasonCode], ...]:
        """Publishes that wait for their acknowledgement."""
        return tuple(self._answers.values())

    def put(self, topic: str, payload: bytes, envelope: Envelope) -> asyncio.Future[ReasonCode]:
        """Publish at once; the future gets the broker's reason code."""
        sent = self._client.publish(
            topic, payload, 1, envelope.retain, _properties(envelope, PacketTypes.PUBLISH)
        )
        if sent.rc != 0:
            raise aiomqtt.MqttCodeError(sent.rc, "not published")
        answer: asyncio.Future[ReasonCode] = asyncio.get_running_loop().create_future()
        self._answers[sent.mid] = answer
        return answer

    def give_up(self) -> None:
        """Nobody waits for answers any more; the broker's last word is taken note of."""
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.cancel()
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()

    def drop(self) -> None:
        """Let go of the socket of a session that did not come about; aiomqtt keeps it open."""
        place = self._client.socket()
        if place is not None and place.fileno() >= 0:
            self._loop.remove_reader(place.fileno())
            self._loop.remove_writer(place.fileno())
            place.close()
        if self._misc_task is not None:
            self._misc_task.cancel()
        self.give_up()

    def abandon(self, connected: asyncio.Future[BrokerClient]) -> None:
        """Hang up on a broker that answered after its caller had gone."""
        if not connected.cancelled():
            connected.exception()
        self.drop()

    def _grant(self, name: str, default: int) -> int:
        return int(getattr(self._granted, name, default))

    def _on_socket_open(self, client: PahoClient, userdata: object, sock: PahoSocket) -> None:
        # aiomqtt's own option for this passes websockets by
        with socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._on_socket_open(client, userdata, sock)

    def _on_socket_register_write(
        self, client: PahoClient, userdata: object, sock: PahoSocket
    ) -> None:
        # aiomqtt adds the writer a turn of the loop later, whatever happened meanwhile: the socket
        # may be closed by then, and its number another's, or all of it may be written
        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001  the connection broke, however it shows
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            place = client.socket()
            if place is not None and place is sock and client.want_write():
                self._loop.add_writer(place.fileno(), write)

        if threading.get_ident() == self._home:
            register()
        else:
            self._loop.call_soon_threadsafe(register)  # while it connects

    def _on_connect(
        self,
        client: PahoClient,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._granted = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: PahoClient,
        userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait for its timeout
            self._connected.set_exception(MqttConnectError(reason_code))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(aiomqtt.MqttCodeError(reason_code, "disconnected"))
                answer.exception()  # whoever waits sees it; nobody has to

    def _on_publish(
        self,
        client: PahoClient,
        userdata: object,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        answer = self._answers.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)


def tls_context(tls: TlsFiles) -> ssl.SSLContext:
    """Return a client's context for mutual TLS; keys touch memory only; ConfigError."""
    try:
        context = ssl.create_default_context(cadata=tls.roots_pem.decode("ascii"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        place = os.memfd_create("tls")  # ssl reads own certificates from files alone
        try:
            os.write(place, tls.key_pem + b"\n" + tls.chain_pem)
            context.load_cert_chain(f"/proc/self/fd/{place}")
        finally:
            os.close(place)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"this party's TLS files are unusable: {error}") from None
    return context


def _properties(envelope: Envelope, packet: int) -> Properties:
    found = Properties(packet)  # type: ignore[no-untyped-call]
    if envelope.expiry_s is not None:
        found.MessageExpiryInterval = envelope.expiry_s
    if envelope.response_topic is not None:
        found.ResponseTopic = envelope.response_topic
    if envelope.correlation is not None:
        found.CorrelationData = envelope.correlation
    return found
