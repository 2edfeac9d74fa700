"""The `[placed_shards]` table of the aggregator's settings file (docs/adr/0035).

Rules:
- none unless `count` says how many;
- each shard has an address of its own, the same whenever it is begun again: one host, and ports
  in a row from the first one's, so that any of them may be placed on any machine of a cluster;
- secrets are not settings: what is named is a file, read where the shard is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dreamshare.driver.shards import MOST_SHARDS
from dreamshare.engine.batches import Resources
from dreamshare.engine.opening import EngineConfig, kind_of
from dreamshare.errors import ConfigError
from dreamshare.settings import Scalar, setting
from dreamshare.transport.address import EVERYWHERE, grpcs, host_and_port
from dreamshare.transport.ways import MQTT_SCHEMES

_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class PlacedConfig:
    """How many shards the aggregator begins, where, and what each may use."""

    count: int = setting(
        "How many shards the aggregator begins, and begins again when one dies, 0 to 256.",
        default=0,
    )
    engine: str = setting(
        "What runs them: 'processes' of this machine, or 'ray', a cluster (extra `ray`).",
        default="processes",
    )
    address: str = setting(
        "Of the Ray cluster: host:port, or 'auto' for the one that this machine belongs to. Empty "
        "starts one on this machine, which ends with the aggregator.",
        default="",
    )
    listen: str = setting(
        "Where the first shard listens: grpcs://host:port. Each further one takes the next port. "
        "On a cluster 'grpcs://0.0.0.0:7451': the machine that it is placed on, whichever it is. "
        "Empty: at the broker alone.",
        default="grpcs://127.0.0.1:7451",
    )
    broker: str = setting(
        "A broker that shards take their share of devices from, as `listen` of the aggregator "
        "names it, too. Empty: none.",
        default="",
    )
    seats: Path | None = setting(
        "Folder with a seat at the broker for each shard, seat-1.pem and so on, as `dreamshare "
        "broker config --seats` writes them; on a cluster on every machine that takes shards.",
        default=None,
        example="/etc/dreamshare/broker",
    )
    identity: Path | None = setting(
        "The aggregator's identity as it is found where shards are placed: on a cluster a file on "
        "every such machine. Absent: the path that `identity` says.",
        default=None,
        example="/etc/dreamshare/aggregator.key",
    )
    cpus: float = setting("On a cluster: cores that each shard occupies, > 0.", default=1.0)
    resources: Mapping[str, Scalar] = setting(
        "On a cluster: amounts of its nodes' own resources that each shard occupies, such as "
        "`shards = 1`, to say which machines take shards and how many.",
        default={},
    )

    def __post_init__(self) -> None:
        if not 0 <= self.count <= MOST_SHARDS:
            raise ConfigError(f"placed_shards.count is {self.count}; it must be 0 to {MOST_SHARDS}")
        if kind_of(self.engine) == "local":
            raise ConfigError("placed_shards.engine is 'local'; a shard is 'processes' or 'ray'")
        if self.engine != "ray" and self.resources:
            raise ConfigError(
                "placed_shards.resources are a cluster's; use them with engine = 'ray'"
            )
        _ = self.opening, self.occupied
        if bool(self.broker) != (self.seats is not None):
            raise ConfigError("placed_shards.broker and placed_shards.seats go together")
        if self.broker and not self.broker.startswith(MQTT_SCHEMES):
            raise ConfigError(f"placed_shards.broker is {self.broker!r}; use mqtts://host:port")
        if not self.listen and not self.broker:
            raise ConfigError("placed_shards.listen is empty; name grpcs://host:port, or a broker")
        port = host_and_port(self.listen)[1] if self.listen else 1
        if port < 1 or port + self.count - 1 > _LAST_PORT:
            raise ConfigError(
                f"placed_shards.listen is {self.listen}; its {self.count} shards need ports from "
                f"1 to {_LAST_PORT}, because a shard comes back at its address"
            )

    @property
    def opening(self) -> EngineConfig:
        """The engine, with a place for every shard."""
        return EngineConfig(kind_of(self.engine), self.count, self.address)

    @property
    def occupied(self) -> Resources:
        """What each shard occupies."""
        named = []
        for name, amount in self.resources.items():
            if isinstance(amount, str | bool):
                raise ConfigError(f"placed_shards.resources.{name} is {amount!r}, no number")
            named.append((name, float(amount)))
        return Resources(self.cpus, named=tuple(named))

    @property
    def links(self) -> tuple[str, ...]:
        """Where each shard listens by itself, not at a broker; none where `listen` is empty."""
        if not self.listen:
            return ()
        host, port = host_and_port(self.listen)
        return tuple(grpcs(host, port + number) for number in range(self.count))

    @property
    def known(self) -> tuple[str, ...]:
        """Where devices find the shards that are on this machine; on a cluster nobody knows."""
        return self.links if self.engine == "processes" else ()

    def trunk(self, shards: str) -> str:
        """Return where the aggregator takes these shards; "" where there are none at all.

        Args:
            shards: the aggregator's setting of this name.

        Raises:
            ConfigError: they could not call it.
        """
        if self.count == 0:
            return shards
        if not shards and (self.engine == "ray" or not self.listen):
            raise ConfigError(
                "shards is empty; say where shards of a cluster, or of a broker alone, call this "
                "aggregator, e.g. shards = 'grpcs://10.0.0.1:7450'"
            )
        host = host_and_port(shards or self.listen)[0]
        if host in EVERYWHERE:
            raise ConfigError(
                f"placed shards cannot call {host}; name a host of the aggregator's certificate "
                "in shards = 'grpcs://host:port'"
            )
        return shards or grpcs(host, 0)

    def beside(self, folder: Path) -> PlacedConfig:
        """Return the same settings with relative paths taken from `folder`."""
        identity = None if self.identity is None else folder / self.identity
        seats = None if self.seats is None else folder / self.seats
        return dataclasses.replace(self, identity=identity, seats=seats)
