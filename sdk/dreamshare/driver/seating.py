"""Who answers a request that came in over a broker: the root, or a shard with a seat there.

Rules:
- the root hears every request and decides, so that each is answered by one, who is alive: a shard
  whose trunk broke, or which lost its broker, is asked no more;
- the place with the fewest parties answers; the same request again goes to the same place; what a
  shard has not answered when it is lost, another place does;
- operators belong to the root: a shard sends them away once, and they are not sent there again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dreamshare.driver.trunk import Trunk
from dreamshare.ids import PartyId, short
from dreamshare.protocol import trunk
from dreamshare.protocol.messages import CheckIn
from dreamshare.transport.base import Listener, Place, Spreads

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Shard:
    """A shard as its root sees it.

    Attributes:
        number: of its trunk.
        line: its trunk.
        devices: who checked in there.
        seats: brokers that it is at, by their addresses.
        invited: who was sent there and has not checked in; at which broker, with which nonce.
    """

    number: int
    line: Trunk
    devices: dict[PartyId, CheckIn] = field(default_factory=dict)
    seats: set[str] = field(default_factory=set)
    invited: dict[PartyId, tuple[str, bytes]] = field(default_factory=dict)

    @property
    def load(self) -> int:
        """How many parties it has, or will have."""
        return len(self.devices) + len(self.invited)


class Seating:
    """The root's word on requests.

    Args:
        shards: those whose trunks are open, looked at and never changed.
    """

    def __init__(self, shards: Mapping[int, Shard]) -> None:
        self._shards = shards
        self._brokers: dict[str, Spreads] = {}
        self._loads: dict[str, int] = {}
        self._kept: set[PartyId] = set()

    def spread(self, listeners: Iterable[Listener]) -> None:
        """Decide on the requests of those listeners that are at brokers; before they start."""
        for listener in listeners:
            if isinstance(listener, Spreads):
                broker = str(listener)
                self._brokers[broker] = listener
                listener.spread(self._place_at(broker))

    def sit(self, shard: Shard, broker: str, *, there: bool) -> None:
        """A shard has come to a broker, or is there no more."""
        if not there:
            shard.seats.discard(broker)
            self.lost(shard)
        elif broker in self._brokers:
            shard.seats.add(broker)
        else:
            known = ", ".join(sorted(self._brokers)) or "none"
            _LOG.warning(
                "shard %d is at %s, where this aggregator is not (%s): nobody is sent there; both "
                "have to name the broker by the same address",
                *(shard.number, broker, known),
            )

    def lost(self, shard: Shard) -> None:
        """A shard answers no more: others answer who was sent there and waits."""
        waiting, shard.invited = shard.invited, {}
        for party, (broker, opener) in waiting.items():
            if not self._place(broker, party, opener, self._loads[broker]):
                self._brokers[broker].invite(party.hex(), opener)

    def keep(self, party: PartyId) -> None:
        """A party is no device: the root answers it itself."""
        self._kept.add(party)
        self.came(party)

    def came(self, party: PartyId) -> None:
        """A party is somewhere: it is expected nowhere any more."""
        for shard in self._shards.values():
            shard.invited.pop(party, None)

    def _place_at(self, broker: str) -> Place:
        def place(name: str, opener: bytes, here: int) -> bool:
            self._loads[broker] = here
            return self._place(broker, PartyId(bytes.fromhex(name)), opener, here)

        return place

    def _place(self, broker: str, party: PartyId, opener: bytes, here: int) -> bool:
        if party in self._kept:
            return False
        seated = [shard for shard in self._shards.values() if broker in shard.seats]
        asked = [shard for shard in seated if shard.invited.get(party) == (broker, opener)]
        if not asked:
            self.came(party)
            least = min(seated, key=lambda shard: shard.load, default=None)
            if least is None or here < least.load:
                return False
            asked = [least]
        chosen = asked[0]
        chosen.invited[party] = (broker, opener)
        chosen.line.put(trunk.Invite(broker, party, opener))
        _LOG.debug("%s is sent to shard %d", short(party), chosen.number)
        return True
