"""A cohort whose vectors come in over shards: real machines everywhere, messages moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dreamshare_crypto.secagg.events import Persist, Returned, Send, ServerEffect, Stage
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.shard import Shard
from dreamshare_crypto.secagg.shard_messages import (
    Claim,
    FromShard,
    FromShardMessage,
    GiveSum,
    Granted,
    Lost,
    ToShard,
)
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort, Keeps

ROOT = 0
"""The place of a device that is connected to the root itself."""


class Sharded(Cohort):
    """Devices spread over shards 1, 2, ...; `place` says where each one is."""

    def __init__(self, n: int, shards: int, place: Callable[[int], int] | None = None) -> None:
        super().__init__(n, make_terms(rounds=4))
        self.shards = {number: Shard() for number in range(1, shards + 1)}
        self.place = place or (lambda number: number % (shards + 1))
        self.line: list[tuple[int, FromShardMessage]] = []  # from shards, on its way to the root
        self.said: list[ToShard] = []
        self.mute: set[int] = set()  # shards that give no sum

    def take_server(self, effects: Iterable[ServerEffect]) -> tuple[ServerEffect, ...]:
        self.order_shards()
        effects = super().take_server(effects)
        for effect in effects:
            if isinstance(effect, ToShard):
                self._tell_shard(effect)
        return effects

    def order_shards(self) -> None:
        """Tell every shard of the round that is open."""
        order = self.server.collecting
        for shard in self.shards.values() if order is not None else ():
            shard.collect(order)

    def _tell_shard(self, effect: ToShard) -> None:
        self.said.append(effect)
        shard = self.shards.get(effect.shard)
        if shard is None:
            return  # it died meanwhile
        match effect.message:
            case Granted() as answer:
                shard.decide(answer)
            case GiveSum() as asked if effect.shard not in self.mute:
                partial = shard.give(asked)
                if partial is not None:
                    self.line.append((effect.shard, partial))

    def arrive(self, number: int, stage: Stage, body: bytes) -> tuple[ServerEffect, ...]:
        place = self.place(number)
        if stage is not Stage.MASKED_INPUT or place == ROOT:
            return super().arrive(number, stage, body)
        return self.arrive_at(place, number, body)

    def arrive_at(self, place: int, number: int, body: bytes) -> tuple[ServerEffect, ...]:
        """Hand a vector to a shard, which asks the root."""
        shard = self.shards.get(place)
        claim = None if shard is None else shard.take(self.parties[number].id, body)
        if claim is not None:
            self.line.append((place, claim))
        return ()

    def pump(self, keeps: Keeps = lambda number, stage: True) -> None:
        while self.down or self.up or self.line:
            super().pump(keeps)
            self._hear_one()

    def pump_one(self) -> None:
        """Move one message, a shard's where there is one."""
        if self.line:
            self._hear_one()
        elif self.down:
            self.give(*self.down.pop(0))
        elif self.up:
            self.arrive(*self.up.pop(0))

    def _hear_one(self) -> None:
        if self.line:
            number, message = self.line.pop(0)
            self.serve(FromShard(number, message))

    def kill(self, place: int) -> None:
        """A shard dies with all that it holds; the root notices when it comes to that.

        Devices whose claim was on its way come again, through the root or another shard.
        """
        del self.shards[place]
        unheard = [said.device for at, said in self.line if at == place and isinstance(said, Claim)]
        self.line = [(at, said) for at, said in self.line if at != place]
        self.line.append((place, Lost()))
        for device in unheard:
            self.serve(Returned(device))

    def restart_root(self) -> None:
        """Kill the root and start it again from its records; shards begin anew."""
        records = [e.record for e in self.server_effects if isinstance(e, Persist)]
        entropy = self.federation.entropy.fork("another start")
        server = SecaggServer.restore(self.aggregator, records, entropy, self.now)
        assert server is not None
        self.server, self.line = server, []
        self.shards = {number: Shard() for number in self.shards}
        self.take_server(self.server.resume(self.now))

    def sends(self) -> list[tuple[Stage, bytes, tuple[bytes, ...]]]:
        """Return everything that devices were ever sent."""
        return [(e.stage, e.body, e.to) for e in self.server_effects if isinstance(e, Send)]

    def vector_of(self, number: int) -> bytes:
        """Return the masked input that a device sent last."""
        return self.parties[number].sent(Stage.MASKED_INPUT)[-1]
