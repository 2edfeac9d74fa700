"""A simulated round, recorded: genuine messages and records to begin from, machines to attack.

Rules:
- everything is made when it is first asked for and the same every time; nothing is stored;
- machines are handed out as copies: a target may do with them what it likes.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import cache

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    Abandoned,
    Arrived,
    Cancelled,
    ClientEffect,
    ClientInput,
    Persist,
    Received,
    RecordKind,
    ServerEffect,
    ServerInput,
    Stage,
)
from dreamshare_crypto.secagg.memory import lasting
from dreamshare_crypto.secagg.phases import Phase
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.server_phases import ServerPhase
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.harness import Cohort

N, ROUNDS = 4, 3
PAYLOAD = payload_of("a plan")
TERMS = {
    Mode.AGREED: make_terms(rounds=ROUNDS),
    Mode.BOUNDED: make_terms(rounds=ROUNDS, mode=Mode.BOUNDED, a_min_ppm=1_000_000, d_ppm=250_000),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One run of a cohort.

    Attributes:
        cohort: the parties, after the run.
        down, up: every message to and from a device, by stage.
        records: journal bodies, by kind.
        clients: device 0 in each phase that it passed through.
        servers: the aggregator in each of its phases.
    """

    cohort: Cohort
    down: dict[Stage, list[bytes]]
    up: dict[Stage, list[bytes]]
    records: dict[RecordKind, list[bytes]]
    clients: dict[type[Phase], SecaggClient]
    servers: dict[ServerPhase, SecaggServer]


class RecordingCohort(Cohort):
    """Remembers device 0 and the aggregator in every phase that they pass through."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(N, TERMS[mode])
        client = self.parties[0].client
        self.clients = {type(client.phase): twin(client)}
        self.servers: dict[ServerPhase, SecaggServer] = {}
        self.received: dict[Stage, list[bytes]] = defaultdict(list)
        self.arrived: dict[Stage, list[bytes]] = defaultdict(list)

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        if number != 0:
            return super().tell(number, event)
        if isinstance(event, Received):
            self.received[event.stage].append(event.body)
        effects = self.parties[0].client.handle(event, self.now)
        client = self.parties[0].client
        self.clients.setdefault(type(client.phase), twin(client))
        for effect in effects:
            self.carry_out(0, effect)
        return effects

    def serve(self, event: ServerInput) -> tuple[ServerEffect, ...]:
        if isinstance(event, Arrived):
            self.arrived[event.stage].append(event.body)
        self.servers[self.server.phase] = twin_server(self.server)  # as late as possible
        return super().serve(event)


def twin(client: SecaggClient) -> SecaggClient:
    """Return a copy with a memory of its own; everything else that a client holds is a value."""
    other = copy(client)
    other._device = replace(client._device, memory=deepcopy(client.memory))
    other._counts = copy(client._counts)
    return other


def twin_server(server: SecaggServer) -> SecaggServer:
    """Return a copy that shares nothing but keys and what never changes."""
    course = server._course
    values = (course._identity, course.offer, course._entropy, course.cohort)
    return deepcopy(server, {id(value): value for value in values})


@cache
def recording(mode: Mode = Mode.AGREED) -> Recording:
    """Return a run: set-up, a round with a device that drops out, a cancelled one."""
    cohort = RecordingCohort(mode)
    cohort.set_up()
    cohort.run_round(
        lambda number, stage: (number, stage) != (N - 1, Stage.MASKED_INPUT), payload=PAYLOAD
    )
    cohort.open()
    cohort.pump(lambda number, stage: stage is not Stage.MASKED_INPUT)
    cohort.serve(Cancelled())
    cohort.pump()
    cohort.parties[0].handle(Abandoned(), cohort.now)
    effects = [effect for party in cohort.parties for effect in party.effects]
    written = [effect.record for effect in effects if isinstance(effect, Persist)]
    records: dict[RecordKind, list[bytes]] = defaultdict(list)
    for record in (*written, *lasting(written)):
        records[record.kind].append(record.body)
    return Recording(
        cohort, cohort.received, cohort.arrived, records, cohort.clients, cohort.servers
    )
