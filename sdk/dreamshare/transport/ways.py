"""Which transport a link's address wants; each is imported when it is wanted.

link = link_to("mqtts://broker.example:8883", identity)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dreamshare.errors import ConfigError
from dreamshare.transport.address import grpcs, host_and_port, target
from dreamshare.transport.base import Link, Listener
from dreamshare.transport.tls import TlsFiles, TlsParts

MQTT_SCHEMES = ("mqtts://", "wss://", "mqtt://", "ws://")
"""How the address of a link over a broker begins."""

EXAMPLES = "grpcs://aggregator.example:7443 or mqtts://broker.example:8883"


class Member(Protocol):
    """A party of a federation, as `dreamshare_crypto.Identity` is one."""

    @property
    def id(self) -> bytes:
        """16 bytes."""
        ...

    @property
    def federation(self) -> bytes:
        """16 bytes."""
        ...

    @property
    def tls(self) -> TlsParts:
        """Keys of its transport."""
        ...


def check_address(url: str) -> None:
    """Refuse what is no link's address: ConfigError."""
    if not url.startswith(MQTT_SCHEMES):
        try:
            host_and_port(url)
        except ConfigError:
            raise ConfigError(f"{url!r} is not a link's address like {EXAMPLES}") from None
        return
    from dreamshare.transport.mqtt.address import parse_broker

    parse_broker(url)


def link_to(url: str, member: Member) -> Link:
    """Return a party's way to the aggregator.

    Raises:
        ConfigError: the address is none, the identity has no TLS, or the transport's libraries are
            missing; the text says how to get them.
    """
    check_address(url)
    if url.startswith(MQTT_SCHEMES):
        with _extra("mqtt"):
            from dreamshare.transport.mqtt.link import MqttLink
        return MqttLink(url, member.id.hex(), member.federation.hex(), TlsFiles.of(member))
    with _extra("grpc"):
        from dreamshare.transport.grpc import GrpcLink
    return GrpcLink(url, TlsFiles.of(member))


def listener_at(url: str, member: Member) -> Listener:
    """Return where an aggregator waits: a socket of its own, or a broker's topics.

    Raises:
        ConfigError: as `link_to`.
    """
    check_address(url)
    if url.startswith(MQTT_SCHEMES):
        with _extra("mqtt"):
            from dreamshare.transport.mqtt.listener import MqttListener
        return MqttListener(url, member.id.hex(), member.federation.hex(), TlsFiles.of(member))
    with _extra("grpc"):
        from dreamshare.transport.grpc import GrpcListener
    return GrpcListener(target(url), TlsFiles.of(member))


def seat_at(url: str, member: Member, seat: TlsFiles) -> Listener:
    """Return a shard's place at a broker.

    Args:
        url: the broker's address.
        member: the aggregator.
        seat: certificate and key that the broker knows the seat by.

    Raises:
        ConfigError: as `link_to`.
    """
    check_address(url)
    with _extra("mqtt"):
        from dreamshare.transport.mqtt.seat import MqttSeat
    return MqttSeat(url, seat.name, member.federation.hex(), seat)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        wanted = f"pip install 'dreamshare[{name}]'"
        raise ConfigError(f"this address needs {error.name}, which is missing: {wanted}") from None


def trunks_at(url: str, member: Member, shards: int) -> Listener:
    """Return where an aggregator waits for its shards, which all show its own certificate.

    Args:
        url: grpcs://host:port; trunks run over nothing else.
        member: the aggregator.
        shards: most that there may be, 1 or more.

    Raises:
        ConfigError: as `link_to`, or the address is a broker's.
    """
    address = target(url)
    with _extra("grpc"):
        from dreamshare.transport.grpc import GrpcListener
    # twice: a machine that is gone is noticed after its shard has come elsewhere
    return GrpcListener(address, TlsFiles.of(member), links_per_party=2 * shards)


def called_at(url: str, listener: Listener) -> str:
    """Return where parties call a started listener of this module: the port may be a free one."""
    if url.startswith(MQTT_SCHEMES):
        return url
    from dreamshare.transport.grpc import GrpcListener

    port = listener.port if isinstance(listener, GrpcListener) else host_and_port(url)[1]
    return grpcs(host_and_port(url)[0], port)
