"""Devices and an aggregator over a network that loses, repeats, reorders and cuts, with crashes.

    world = World(n=5)
    world.apply([Deliver(40), Open(), Crash(2, writes=1), Deliver(100), Wait()])
    world.calm()                        # the network is kind again: everything must come to an end

Rules:
- both ends are the real machines, and time moves when an operation says so;
- every effect is carried out in order and watched (`watch`); a process that dies loses the rest of
  its effects, what it was handling and what was not synced (`disk`);
- a failing list of operations is a test case: see `trace`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.certificates import Role
from dreamshare_crypto.encoding import Params, encode_vector
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    Arrived,
    ClientEffect,
    ClientInput,
    Compute,
    Computed,
    KeepEvidence,
    Opened,
    Passed,
    Payload,
    Persist,
    Received,
    RecordKind,
    Refuse,
    Returned,
    RoundAbandoned,
    Send,
    ServerEffect,
    ServerInput,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.records import VectorRecord
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.disk import Died, Disk
from tests.sim.secagg.federation import NOW, TASK, Federation, make_terms, payload_of
from tests.sim.secagg.operations import Operation
from tests.sim.secagg.watch import Watch

OPEN = (ServerPhase.COLLECTING, ServerPhase.AGREEING, ServerPhase.UNMASKING)

PATIENCE = 60
"""Deadlines after which a run on a kind network counts as endless."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A message on its way. `stage` is None for a refusal on its way up."""

    device: int
    up: bool
    stage: Stage | None
    body: bytes
    payload: Payload | None = None


@dataclass
class Node:
    """One device: its machine, its disk, and what it is computing."""

    identity: Identity
    floor: Floor
    entropy: SeededEntropy
    client: SecaggClient
    disk: Disk = field(default_factory=Disk)
    running: bool = True
    linked: bool = True
    touched: bool = False
    computing: Compute | None = None

    @property
    def id(self) -> bytes:
        return self.identity.id


class World:
    """n devices and one aggregator of one task. Devices are numbered in the order of their ids."""

    def __init__(self, n: int, terms: EpochTerms | None = None, floor: Floor | None = None) -> None:
        self.federation = Federation()
        self.terms = terms or terms_of()
        self.floor = floor or Floor(modes=tuple(Mode), suites=tuple(Suite))
        self.now = NOW
        self.watch = Watch()
        self.aggregator = self.federation.issue(Role.AGGREGATOR, "aggregator")
        identities = [self.federation.issue(Role.DEVICE, f"device {i}") for i in range(n)]
        identities.sort(key=lambda identity: identity.id)
        self.nodes = [self._node(identity) for identity in identities]
        self.number = {node.id: i for i, node in enumerate(self.nodes)}
        self.wires: list[Packet] = []
        self.everything: list[Packet] = []  # ever sent, for a network that replays
        self.payloads: dict[bytes, Payload] = {}
        self.updates = 0
        self.crashes = 0
        self.trace: list[Operation] = []
        self.question = 0  # which sum is wanted now, and how often it was given up after an answer
        self.draw = 0
        self.epoch = 0
        self.server = self._new_server()
        self.take_server(self.server.start(self.now))

    def _node(self, identity: Identity) -> Node:
        entropy = self.federation.entropy.fork(f"secrets of {identity.id.hex()}")
        client = SecaggClient(identity, TASK, self.floor, entropy, Memory())
        return Node(identity, self.floor, entropy, client)

    def _new_server(self) -> SecaggServer:
        self.epoch += 1
        entropy = self.federation.entropy.fork(f"server {self.epoch}")
        ids = [node.id for node in self.nodes]
        return SecaggServer(self.aggregator, TASK, self.epoch, self.terms, entropy, ids, self.now)

    def apply(self, operations: Iterable[Operation]) -> None:
        """Carry operations out, in order, and look at every disk after each."""
        for operation in operations:
            self.trace.append(operation)
            operation.apply(self)
            self.check()

    def check(self) -> None:
        """Look at the disks that changed, of devices that run."""
        for node in self.nodes:
            if node.running and node.touched:
                self.watch.check_disk(node.id, node.disk)
                node.touched = False

    # ---- network ---------------------------------------------------------------------------------

    def deliver(self, place: int, *, keeps: bool = False) -> None:
        """Hand the message at `place` over; with `keeps` it stays on its way as well."""
        packet = self.wires[place] if keeps else self.wires.pop(place)
        self.hand_over(packet)

    def hand_over(self, packet: Packet) -> None:
        """Hand a message over."""
        node = self.nodes[packet.device]
        if not packet.up:
            if node.linked and packet.stage is not None:
                self.feed(node, Received(packet.stage, packet.body, packet.payload))
        elif packet.stage is None:
            self.serve(Passed(node.id))
        else:
            self.serve(Arrived(node.id, packet.stage, packet.body))

    def replay(self, packet: Packet, number: int) -> None:
        """Hand an old message over once more; what the aggregator sent, to any device."""
        device = packet.device if packet.up else number % len(self.nodes)
        self.hand_over(replace(packet, device=device))

    def send(self, packet: Packet) -> None:
        """Put a message on its way; without a link it is lost."""
        self.everything.append(packet)
        if self.nodes[packet.device].linked:
            self.wires.append(packet)

    def cut(self, node: Node) -> None:
        """Cut a device's link: what is on its way to it is lost."""
        node.linked = False
        number = self.number[node.id]
        self.wires = [p for p in self.wires if p.up or p.device != number]

    def mend(self, node: Node) -> None:
        """Bring a device back, started again from its disk if its process is gone."""
        if not node.running:
            self.restart(node)
        if node.running and not node.linked:
            node.linked = True
            self.feed(node, Ticked())
            self.serve(Returned(node.id))

    # ---- devices ---------------------------------------------------------------------------------

    def feed(self, node: Node, event: ClientInput) -> None:
        """Hand an input to a device and carry its effects out until it dies."""
        if not node.running:
            return
        effects = node.client.handle(event, self.now)
        node.touched = node.touched or bool(effects)
        self.watch.note_phase(node.id, node.client.phase)
        if isinstance(event, Computed):
            self._note_vector(node, event, effects)
        try:
            for effect in effects:
                last = node.disk.carry_out(effect)
                self._carry_out(node, effect)
                if last:
                    raise Died
        except Died:
            self.crash(node)

    def _carry_out(self, node: Node, effect: ClientEffect) -> None:
        number = self.number[node.id]
        match effect:
            case Send(stage, body):
                self.watch.check_send(node.id, effect, node.disk)
                self.send(Packet(number, up=True, stage=stage, body=body))
            case Compute():
                node.computing = effect
            case Refuse(code):
                self.watch.check_refusal(code)
                self.send(Packet(number, up=True, stage=None, body=b""))
            case KeepEvidence(code, first, second):
                raise AssertionError(
                    f"evidence against an honest aggregator: {code} {first} {second}"
                )
            case _:
                pass

    def _note_vector(self, node: Node, event: Computed, effects: tuple[ClientEffect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Persist) and effect.record.kind is RecordKind.VECTOR:
                record = VectorRecord.decode(effect.record.body)
                params = self.watch.starts[record.session, record.round].params
                words = encode_vector(params, event.fields, event.weight, None)
                self.watch.note_vector(record.message, words)

    def compute(self, node: Node) -> None:
        """Let a device finish what it computes: never twice the same, as learning may be."""
        order, node.computing = node.computing, None
        if order is not None and node.running:
            self.updates += 1
            self.feed(node, Computed(order.round, grid_update(order.params, self.updates), 1.0))

    def crash(self, node: Node) -> None:
        """Kill a device's process."""
        self.cut(node)
        node.running = False
        self.crashes += 1
        node.computing = None
        node.disk.crash()

    def restart(self, node: Node) -> None:
        """Start a device's process from its disk."""
        node.running = True
        node.client = SecaggClient.restore(
            node.identity, TASK, node.floor, node.entropy, node.disk.records, node.disk.slots
        )

    # ---- the aggregator --------------------------------------------------------------------------

    def serve(self, event: ServerInput) -> None:
        """Hand an input to the aggregator and carry its effects out."""
        self.take_server(self.server.handle(event, self.now))

    def take_server(self, effects: tuple[ServerEffect, ...]) -> None:
        self.watch.check_server(effects)
        for effect in effects:
            match effect:
                case Send(stage, body, to):
                    payload = None
                    if stage is Stage.ROUND_START:
                        payload = self.payloads[self.watch.last_start.payload_hash]
                    for device in to:
                        self.send(Packet(self.number[device], False, stage, body, payload))
                case Summed():
                    self._ask(self.question + 1, 0)
                case RoundAbandoned(answered=True):
                    self._ask(self.question, self.draw + 1)
                case _:
                    pass

    @property
    def busy(self) -> bool:
        """Whether anything is on its way or being computed."""
        return bool(self.wires) or any(node.computing for node in self.nodes)

    @property
    def can_open(self) -> bool:
        """Whether a round can be opened now."""
        return self.server.phase is ServerPhase.READY and self.server.rounds_left > 0

    def open(self) -> None:
        """Open a round for the present question: a given up one is asked again (7.1)."""
        if not self.can_open:
            return
        payload = payload_of(f"question {self.question}", self.draw)
        self.payloads[payload.hash] = payload
        params = self.terms.template[0].params
        self.serve(Opened(payload.hash, params, collect_s=60.0, reveal_s=20.0))

    def renew(self) -> None:
        """Offer a new epoch, as an aggregator does that was killed in the old one."""
        if self.server.phase in OPEN:
            self._ask(self.question, self.draw + 1)  # somebody may have answered
        self.server = self._new_server()
        self.take_server(self.server.start(self.now))

    def _ask(self, question: int, draw: int) -> None:
        spent = draw >= self.floor.draws
        self.question, self.draw = (question + 1, 0) if spent else (question, draw)

    def wait(self) -> None:
        """Let the aggregator's deadline come, and that of every device that has one by then."""
        self.now = max(self.now, self.server.deadline or self.now)
        self.tick()

    def tick(self) -> None:
        """Tell everybody what time it is."""
        self.serve(Ticked())
        for node in self.nodes:
            if node.running and (node.client.deadline or self.now + 1) <= self.now:
                self.feed(node, Ticked())

    # ---- a kind network --------------------------------------------------------------------------

    def settle(self) -> None:
        """Deliver and compute, oldest first, until nothing is on its way."""
        while self.busy:
            if self.wires:
                self.deliver(0)
            for node in self.nodes:
                self.compute(node)

    def calm(self) -> None:
        """Mend everything: what runs comes to an end, and a new epoch works for everybody."""
        for node in self.nodes:
            node.disk.fuse = None
            self.mend(node)
        self._come_to_rest()
        self.renew()
        self._come_to_rest()
        assert len(self.server.members) == len(self.nodes)
        before = len(self.watch.sums)
        self.open()
        self._come_to_rest()
        assert len(self.watch.sums) == before + 1
        assert len(self.watch.sums[-1].survivors) == len(self.nodes)

    def _come_to_rest(self) -> None:
        for _ in range(PATIENCE):
            self.settle()
            self.check()
            if self.server.phase in (ServerPhase.READY, ServerPhase.ENDED):
                return
            self.wait()
        raise AssertionError("the aggregator does not come to rest")


def terms_of(suite: Suite = Suite.AES, mode: Mode = Mode.AGREED) -> EpochTerms:
    """Return terms of three short rounds; bounded mode lets a quarter of at least four drop out."""
    share = {"a_min_ppm": 1_000_000, "d_ppm": 250_000} if mode is Mode.BOUNDED else {}
    return make_terms(rounds=3, dims=(3,), n_max=8, suite=suite, mode=mode, **share)


def grid_update(params: Params, number: int) -> tuple[NDArray[np.float64], ...]:
    """Return an update on the grid of the encoding, so that rounding leaves it as it is."""
    fields = []
    for place, f in enumerate(params.fields):
        steps = (np.arange(f.dims) * 7919 + number * 104_729 + place) % (f.levels + 1)
        fields.append(((2 * steps - f.levels) / f.levels * f.clip).astype(np.float64))
    return tuple(fields)
