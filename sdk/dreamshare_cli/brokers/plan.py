"""What a broker's configuration has to know about a federation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamshare.errors import ConfigError
from dreamshare.transport.mqtt.notes import Topics, check_party

MOST_PACKET = 264 * 1024
"""Bytes of an MQTT packet: ours have 256 KiB and 512 bytes around them."""

UNTESTED = "Untested: made from the vendor's manual, never run by our tests. Try it first."


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """One federation at one broker.

    Attributes:
        federation: hex id.
        aggregator: hex id of the aggregator, the CN of its certificate.
        folder: where the broker finds certificates and access lists, absolute.
        data: where it keeps its sessions, absolute.
        bind: address that it listens on.
        port: of MQTT over TLS; 0 for none.
        websocket_port: of MQTT over websockets over TLS; 0 for none.
        plain_port: of MQTT in clear on 127.0.0.1, for development; 0 for none.
        namespace: what every topic begins with.
    """

    federation: str
    aggregator: str
    folder: PurePosixPath = PurePosixPath("/etc/dreamshare/broker")
    data: PurePosixPath = PurePosixPath("/var/lib/mosquitto")
    bind: str = "0.0.0.0"  # noqa: S104 - a broker is there for others
    port: int = 8883
    websocket_port: int = 8443
    plain_port: int = 0
    namespace: str = "dreamshare"

    def __post_init__(self) -> None:
        check_party(self.aggregator, "the aggregator's id")
        Topics(self.federation, self.namespace)
        if not (self.folder.is_absolute() and self.data.is_absolute()):
            raise ConfigError("a broker wants absolute paths for its files")
        for port in (self.port, self.websocket_port, self.plain_port):
            if not 0 <= port <= 65_535:
                raise ConfigError(f"{port} is no port; 1 to 65535, or 0 for none")

    @property
    def topics(self) -> Topics:
        """The federation's topics."""
        return Topics(self.federation, self.namespace)


@dataclass(frozen=True, slots=True)
class Rights:
    """Topic filters that somebody may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def party_rights(plan: BrokerPlan, name: str) -> Rights:
    """Return a party's rights; `name` is the broker's placeholder for its own id."""
    topics = plan.topics
    own = f"{topics.root}/a/{name}"
    return Rights((f"{own}/up/+", f"{own}/state"), (f"{own}/dn/+", topics.hub("+")))


def aggregator_rights(plan: BrokerPlan) -> Rights:
    """Return the aggregator's rights."""
    topics = plan.topics
    return Rights(
        (topics.hub("+"), topics.down("+", "+")), (topics.up("+", "+"), topics.state("+"))
    )
