"""What a broker takes, as its CONNACK says: asked by a client that leaves nothing there.

Rules:
- the client has an id of its own, no session and no subscription, so that nobody's place is taken;
- it blocks, for at most twice its patience: it is for people who ask, not for agents.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from dataclasses import dataclass

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from dreamshare.transport.mqtt.address import BrokerAddress


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What a broker says it takes.

    Attributes:
        packet: largest packet in bytes; None: no limit.
        inflight: messages that it takes before it has acknowledged one.
        qos: highest quality of service.
    """

    packet: int | None
    inflight: int
    qos: int


def limits_of(
    address: BrokerAddress, context: ssl.SSLContext, patience_s: float
) -> BrokerLimits | str:
    """Return a broker's limits, or in words why it takes nobody; raises OSError."""
    answered = threading.Event()
    found: list[BrokerLimits | str] = []

    def connected(
        client: object, data: object, flags: object, reason: object, properties: object
    ) -> None:
        if getattr(reason, "is_failure", False):
            found.append(str(reason))
        else:
            found.append(
                BrokerLimits(
                    getattr(properties, "MaximumPacketSize", None),
                    getattr(properties, "ReceiveMaximum", 65_535),
                    getattr(properties, "MaximumQoS", 2),
                )
            )
        answered.set()

    client = Client(
        CallbackAPIVersion.VERSION2,
        f"doctor-{secrets.token_hex(8)}",
        protocol=MQTTv5,
        transport="tcp" if address.path is None else "websockets",
    )
    if address.path is not None:
        client.ws_set_options(address.path)
    if address.secure:
        client.tls_set_context(context)
    client.on_connect = connected
    client.connect_timeout = patience_s
    client.connect(
        address.host, address.port, keepalive=30, clean_start=MQTT_CLEAN_START_FIRST_ONLY
    )
    client.loop_start()
    try:
        answered.wait(patience_s)
        client.disconnect()
    finally:
        client.loop_stop()
    return found[0] if found else "it says nothing"
