"""An in-memory cohort: real machines at both ends, messages moved by hand, a clock that waits.

    cohort = Cohort(n=4)            # four devices and an aggregator, set-up not begun
    cohort.set_up()                 # offer to Ready, by the honest machines
    total = cohort.run_round(0)     # a whole round; the sum as the aggregator decoded it

Rules:
- every effect of every machine is carried out here in order: records and key slots end in a
  `Journal`, so that a device can be killed and restored at any effect;
- nothing is sent behind a test's back: `down` and `up` are lists that a test may edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.certificates import (
    Role,
)
from dreamshare_crypto.encoding import Params
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    Arrived,
    ClientEffect,
    ClientInput,
    Compute,
    Computed,
    EpochOver,
    Forget,
    Keep,
    KeepEvidence,
    Opened,
    Payload,
    Persist,
    Received,
    Record,
    Refuse,
    RoundAbandoned,
    Send,
    ServerEffect,
    ServerInput,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.secret import Secret
from tests.sim.secagg.federation import NOW, TASK, Federation, make_terms, payload_of


@dataclass
class Journal:
    """What one device has on disk."""

    records: list[Record] = field(default_factory=list)
    slots: dict[str, Secret] = field(default_factory=dict)

    def copy(self) -> Journal:
        return Journal(list(self.records), dict(self.slots))


@dataclass
class Party:
    """One device: its machine, its disk, and everything that it ever did."""

    identity: Identity
    task: bytes
    client: SecaggClient
    memory: Memory
    floor: Floor
    entropy: SeededEntropy
    journal: Journal = field(default_factory=Journal)
    effects: list[ClientEffect] = field(default_factory=list)
    vectors: dict[int, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return self.identity.id

    def handle(self, event: ClientInput, now: float) -> tuple[ClientEffect, ...]:
        """Hand an input over and carry the effects out, except sends and computations."""
        effects = self.client.handle(event, now)
        for effect in effects:
            self.carry_out(effect)
        return effects

    def carry_out(self, effect: ClientEffect) -> None:
        self.effects.append(effect)
        match effect:
            case Persist(record):
                self.journal.records.append(record)
            case Keep(slot, secret):
                self.journal.slots[slot] = secret
            case Forget(slot):
                self.journal.slots.pop(slot, None)
            case _:
                pass

    def restart(self) -> None:
        """Kill the process and start it again from its journal."""
        self.memory = Memory()
        self.client = SecaggClient.restore(
            self.identity,
            self.task,
            self.floor,
            self.entropy,
            self.journal.records,
            self.journal.slots,
            self.memory,
        )

    def fork(self) -> Party:
        """Return the same device as it would start again from a copy of its disk."""
        twin = replace(self, journal=self.journal.copy(), effects=[], vectors={})
        twin.entropy = SeededEntropy(self.entropy.draw(32))
        twin.restart()
        twin.client.handle(Ticked(), NOW)  # what the restart would send again
        return twin

    def sent(self, stage: Stage) -> list[bytes]:
        """Return the body of every message of one stage so far."""
        sends = [effect for effect in self.effects if isinstance(effect, Send)]
        return [send.body for send in sends if send.stage is stage]

    def refusals(self) -> list[str]:
        """Return the codes of every refusal so far."""
        return [effect.code.value for effect in self.effects if isinstance(effect, Refuse)]

    def evidence(self) -> list[KeepEvidence]:
        return [effect for effect in self.effects if isinstance(effect, KeepEvidence)]


Keeps = Callable[[int, Stage], bool]
"""(device number, stage) -> whether a message of that stage still gets through."""


class Cohort:
    """n devices and one aggregator of one task. Devices are numbered in the order of their ids."""

    def __init__(
        self,
        n: int,
        terms: EpochTerms | None = None,
        floor: Floor | None = None,
        federation: Federation | None = None,
        task: bytes = TASK,
        once: Once | None = None,
    ) -> None:
        self.task = task
        self.federation = Federation() if federation is None else federation
        self.once = Once() if once is None else once
        self.terms = make_terms() if terms is None else terms
        self.now = NOW
        self.aggregator = self.federation.issue(Role.AGGREGATOR, "aggregator")
        identities = [self.federation.issue(Role.DEVICE, f"device {i}") for i in range(n)]
        identities.sort(key=lambda identity: identity.id)
        self.floor = Floor(modes=(self.terms.mode,)) if floor is None else floor
        self.parties = [self._party(identity) for identity in identities]
        self.number = {party.id: i for i, party in enumerate(self.parties)}
        self.down: list[tuple[int, Stage, bytes]] = []
        self.up: list[tuple[int, Stage, bytes]] = []
        self.server_effects: list[ServerEffect] = []
        self.payload = payload_of("nothing")
        self.server = self.new_server(epoch=1)

    def _party(self, identity: Identity) -> Party:
        entropy = self.federation.entropy.fork(f"epoch secrets of {identity.id.hex()}")
        memory = Memory()
        client = SecaggClient(identity, self.task, self.floor, entropy, memory, once=self.once)
        return Party(identity, self.task, client, memory, self.floor, entropy)

    def new_server(self, epoch: int, candidates: Sequence[bytes] | None = None) -> SecaggServer:
        return SecaggServer(
            self.aggregator,
            self.task,
            epoch,
            self.terms,
            self.federation.entropy.fork(f"server {epoch}"),
            [party.id for party in self.parties] if candidates is None else candidates,
            self.now,
        )

    def fork(self) -> Cohort:
        """Return the cohort's devices once more, with an aggregator that only a test plays."""
        twin = copy(self)
        twin.parties = [party.fork() for party in self.parties]
        twin.down, twin.up, twin.server_effects = [], [], []
        return twin

    # ---- moving messages -------------------------------------------------------------------------

    def serve(self, event: ServerInput) -> tuple[ServerEffect, ...]:
        """Hand an input to the aggregator and queue what it sends."""
        return self.take_server(self.server.handle(event, self.now))

    def take_server(self, effects: Iterable[ServerEffect]) -> tuple[ServerEffect, ...]:
        effects = tuple(effects)
        self.server_effects += effects
        for effect in effects:
            if isinstance(effect, Send):
                self.down += ((self.number[d], effect.stage, effect.body) for d in effect.to)
        return effects

    def give(self, number: int, stage: Stage, body: bytes) -> tuple[ClientEffect, ...]:
        """Hand a message to a device and queue what it sends; computations are carried out."""
        payload = self.payload if stage is Stage.ROUND_START else None
        return self.tell(number, Received(stage, body, payload))

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        """Hand an input to a device and carry its effects out, in order."""
        effects = self.parties[number].client.handle(event, self.now)
        for effect in effects:
            self.carry_out(number, effect)
        return effects

    def carry_out(self, number: int, effect: ClientEffect) -> None:
        self.parties[number].carry_out(effect)
        match effect:
            case Send(stage, body):
                self.up.append((number, stage, body))
            case Compute(round_):
                fields, weight = self.update_of(number, round_, effect.params)
                self.tell(number, Computed(round_, fields, weight))
            case _:
                pass

    def update_of(
        self, number: int, round_: int, params: Params
    ) -> tuple[tuple[NDArray[np.float64], ...], float]:
        """Return a device's update: on the grid of the encoding, so that sums are exact."""
        levels = 2**16 - 1
        fields = []
        for place, f in enumerate(params.fields):
            steps = (np.arange(f.dims) * 7919 + number * 104_729 + round_ * 31 + place) % levels
            fields.append(((2 * steps - levels) / levels * f.clip).astype(np.float64))
        self.parties[number].vectors[round_] = tuple(fields)
        return tuple(fields), 1.0

    def arrive(self, number: int, stage: Stage, body: bytes) -> tuple[ServerEffect, ...]:
        """Hand a device's message to the aggregator."""
        return self.serve(Arrived(self.parties[number].id, stage, body))

    def pump(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Move messages until there are none; those that `keeps` denies are lost."""
        while self.down or self.up:
            while self.down:
                number, stage, body = self.down.pop(0)
                if keeps(number, stage):
                    self.give(number, stage, body)
            while self.up:
                number, stage, body = self.up.pop(0)
                if keeps(number, stage):
                    self.arrive(number, stage, body)

    # ---- whole runs ------------------------------------------------------------------------------

    def start(self) -> None:
        self.take_server(self.server.start(self.now))

    def set_up(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Run the set-up; stages that somebody's silence keeps open end at their deadline."""
        self.start()
        self.pump(keeps)
        for _ in range(3):
            if self.server.session is None and self.server.deadline is not None:
                self.pass_deadline(keeps)

    def pass_deadline(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Let the aggregator's deadline come."""
        self.now = max(self.now, self.server.deadline or self.now)
        self.serve(Ticked())
        self.pump(keeps)

    def open(self, payload: Payload | None = None, params: Params | None = None) -> None:
        """Open a round and leave its RoundStarts in `down`."""
        self.payload = (
            payload_of(f"round at {len(self.server_effects)}") if payload is None else payload
        )
        wanted = self.terms.template[0].params if params is None else params
        self.serve(Opened(self.payload.hash, wanted, collect_s=60.0, reveal_s=20.0))

    def run_round(
        self, keeps: Keeps = lambda number, stage: True, payload: Payload | None = None
    ) -> Summed | RoundAbandoned:
        """Run a round to its end and return it; silence is waited out."""
        before = len(self.server_effects)
        self.open(payload)
        self.pump(keeps)
        for _ in range(8):
            ended = self.outcome(before)
            if ended is not None:
                return ended
            self.pass_deadline(keeps)
        raise AssertionError("the round never ended")

    def outcome(self, since: int = 0) -> Summed | RoundAbandoned | None:
        ends = [e for e in self.server_effects[since:] if isinstance(e, Summed | RoundAbandoned)]
        return ends[0] if ends else None

    def over(self) -> EpochOver | None:
        ends = [e for e in self.server_effects if isinstance(e, EpochOver)]
        return ends[0] if ends else None

    def expected_sum(self, round_: int, numbers: Iterable[int]) -> NDArray[np.float64]:
        """Return the sum over devices of the updates that they really made, first field."""
        return np.sum([self.parties[i].vectors[round_][0] for i in numbers], axis=0)
