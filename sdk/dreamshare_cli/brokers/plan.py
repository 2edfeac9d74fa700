"""What a broker's configuration has to know about a federation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamshare.errors import ConfigError
from dreamshare.transport.mqtt.notes import Topics, check_party

MOST_PACKET = 264 * 1024
"""Bytes of an MQTT packet: ours have 256 KiB and 512 bytes around them."""

MOST_SEATS = 256
"""Shards at one broker."""

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
        seats: how many shards may be there beside the aggregator, 0 to 256.
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
    seats: int = 0

    def __post_init__(self) -> None:
        check_party(self.aggregator, "the aggregator's id")
        Topics(self.federation, self.namespace)
        if not (self.folder.is_absolute() and self.data.is_absolute()):
            raise ConfigError("a broker wants absolute paths for its files")
        if not 0 <= self.seats <= MOST_SEATS:
            raise ConfigError(f"{self.seats} seats: 0 to {MOST_SEATS}")
        for port in (self.port, self.websocket_port, self.plain_port):
            if not 0 <= port <= 65_535:
                raise ConfigError(f"{port} is no port; 1 to 65535, or 0 for none")

    @property
    def topics(self) -> Topics:
        """The federation's topics."""
        return Topics(self.federation, self.namespace)

    @property
    def seat_ids(self) -> tuple[str, ...]:
        """Hex ids of the seats, the CNs of their certificates: the same in every call."""
        return tuple(_seat_id(self.aggregator, number + 1) for number in range(self.seats))


def _seat_id(aggregator: str, number: int) -> str:
    return hashlib.sha256(f"dreamshare/mqtt/seat {aggregator} {number}".encode()).hexdigest()[:32]


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


def seat_rights(plan: BrokerPlan, name: str) -> Rights:
    """Return the rights of a shard's seat: its deaths, its births, and talk with devices.

    Its birth, on its own state, is retained; nothing else is.
    """
    topics = plan.topics
    said = (topics.hub("state"), f"{topics.root}/a/{name}/state", topics.down("+", "+"))
    return Rights(said, aggregator_rights(plan).subscribe)
