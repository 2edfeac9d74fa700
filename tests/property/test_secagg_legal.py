"""Every phase times every input: the next phase is legal, and what is refused changes nothing.

The phases come from a real run of one device; the inputs are all the messages that the run made for
it, messages of a second epoch, damaged ones, and every other input.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    Abandoned,
    AbortReason,
    ClientInput,
    Compute,
    Computed,
    ComputeFailed,
    EpochOver,
    Persist,
    Received,
    Refuse,
    Send,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.phases import (
    LEGAL,
    Advertised,
    Agreed,
    Answered,
    Committed,
    Done,
    Idle,
    Input,
    Phase,
    Ready,
    Rostered,
    Sent,
    Shared,
    legal_next,
)
from dreamshare_crypto.secagg.round_messages import RoundStart
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import Hostile

PHASES = [
    Idle, Advertised, Rostered, Shared, Ready, Committed, Sent, Agreed, Answered, Done
]  # fmt: skip
CASES = [
    (mode, phase)
    for mode in Mode
    for phase in PHASES
    if not (mode is Mode.BOUNDED and phase is Agreed)
]
TERMS = {
    Mode.AGREED: make_terms(rounds=2),
    # n = 4, a = 1, t = 3, A_min = 4, d = 1: E = 4 - floor(3 * 1 / 2) = 3
    Mode.BOUNDED: make_terms(rounds=2, mode=Mode.BOUNDED, a_min_ppm=1_000_000, d_ppm=250_000),
}
PAYLOAD, OTHER_PAYLOAD = payload_of("a plan"), payload_of("another plan")


@dataclass
class Recorded:
    """A client in each phase, and every message that reached device 0."""

    clients: dict[type[Phase], SecaggClient]
    messages: list[tuple[Stage, bytes]]
    now: float


class RecordingCohort(Cohort):
    """Remembers device 0 in every phase that it passes through."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(4, TERMS[mode])
        self.clients = {Idle: twin(self.parties[0].client)}
        self.messages: list[tuple[Stage, bytes]] = []

    def tell(self, number: int, event: ClientInput) -> tuple[object, ...]:
        if number != 0:
            return super().tell(number, event)
        if isinstance(event, Received):
            self.messages.append((event.stage, event.body))
        effects = self.parties[0].client.handle(event, self.now)
        client = self.parties[0].client
        self.clients.setdefault(type(client.phase), twin(client))
        for effect in effects:
            self.carry_out(0, effect)
        return effects


@cache
def recorded(mode: Mode) -> Recorded:
    cohort = RecordingCohort(mode)
    cohort.set_up()
    cohort.run_round(payload=PAYLOAD)
    hostile = Hostile(cohort)
    first = RoundStart.decode(dict(cohort.messages)[Stage.ROUND_START], 4)
    start = hostile.start(1, payload=OTHER_PAYLOAD)
    shown = hostile.survivors(start, range(4))
    other = hostile.survivors(hostile.start(0, payload=PAYLOAD, active=[0, 1, 2]), [0, 1, 2])
    offer = partial(cohort.terms.offer, cohort.aggregator, cohort.task)
    extra = [
        (Stage.ROUND_START, start.encode()),
        (Stage.ROUND_START, hostile.start(0, payload=PAYLOAD).encode()),  # another content
        (Stage.SURVIVORS, shown.encode()),
        (Stage.SURVIVORS, other.encode()),
        (Stage.AGREE_SET, hostile.agree_set(shown, range(3)).encode()),
        (Stage.ROUND_ABORT, hostile.abort(first, AbortReason.RANGE).encode()),
        (Stage.ROUND_ABORT, hostile.abort(start, AbortReason.RANGE).encode()),
        (Stage.OFFER, offer(2, cohort.now).encode()),
        (Stage.OFFER, offer(1, cohort.now + 1).encode()),  # another offer of the same epoch
        (Stage.ROSTER, hostile.session.roster.sign(cohort.parties[1].identity.signing).encode()),
        (Stage.REVEAL, b""),
        (Stage.SEED, b"x"),
        (Stage.ADVERTISE, cohort.parties[1].sent(Stage.ADVERTISE)[0]),
    ]
    genuine = cohort.messages
    damaged = [(stage, body[:-1]) for stage, body in genuine]
    return Recorded(cohort.clients, [*genuine, *extra, *damaged], cohort.now)


def inputs(mode: Mode) -> list[ClientInput]:
    received = [
        Received(stage, body, payload)
        for stage, body in recorded(mode).messages
        for payload in ((PAYLOAD, OTHER_PAYLOAD) if stage is Stage.ROUND_START else (None,))
    ]
    vector = (np.zeros(5),)
    others: list[ClientInput] = [
        Computed(0, vector, 1.0),
        Computed(0, (np.full(5, np.inf),), 1.0),
        Computed(1, vector, 1.0),
        ComputeFailed(0, RefusalCode.S6),
        ComputeFailed(1, RefusalCode.E1),
        Ticked(),
        Abandoned(),
    ]
    return [*received, *others]


def name_of(event: ClientInput) -> Input:
    return event.stage if isinstance(event, Received) else type(event)


def client_in(mode: Mode, phase: type[Phase]) -> SecaggClient:
    """Return a client in this phase that a test may change."""
    return twin(recorded(mode).clients[phase])


def twin(client: SecaggClient) -> SecaggClient:
    """Return a copy with a memory of its own; everything else that a client holds is a value."""
    other = copy(client)
    other._device = replace(client._device, memory=deepcopy(client.memory))
    return other


def test_run_passes_through_every_phase() -> None:
    assert set(recorded(Mode.AGREED).clients) == set(PHASES) == set(LEGAL)
    assert set(recorded(Mode.BOUNDED).clients) == set(PHASES) - {Agreed}


@pytest.mark.parametrize(("mode", "phase"), CASES)
@pytest.mark.parametrize("late", [False, True])
def test_every_input_in_every_phase(mode: Mode, phase: type[Phase], late: bool) -> None:
    now = recorded(mode).now + (90_000 if late else 0)  # a day and more
    for event in inputs(mode):
        client = client_in(mode, phase)
        before = client.phase
        effects = client.handle(event, now)
        after = client.phase
        assert type(after) in legal_next(before, name_of(event)) or late
        if any(isinstance(effect, Refuse) for effect in effects):
            ended = any(isinstance(effect, EpochOver) for effect in effects)
            declined = type(before) is Committed and type(after) is Committed
            assert after == Idle() if ended else after is before or declined
        if type(after) is not type(before) and not isinstance(after, Idle):
            persists = [effect for effect in effects if isinstance(effect, Persist)]
            assert persists  # no state is entered without a record (9.1)
        if late:
            assert isinstance(after, Idle)


@pytest.mark.parametrize(("mode", "phase"), CASES)
def test_records_come_before_what_they_cover(mode: Mode, phase: type[Phase]) -> None:
    """In every list of effects, the last synced record is before the first new message."""
    for event in inputs(mode):
        client = client_in(mode, phase)
        before = client.phase
        effects = client.handle(event, recorded(mode).now)
        if client.phase is before or isinstance(client.phase, Idle):
            continue
        kinds = [type(effect) for effect in effects]
        first = min((kinds.index(k) for k in (Send, Compute) if k in kinds), default=len(kinds))
        assert all(not isinstance(effect, Persist) for effect in effects[first:])


def test_every_legal_step_happens() -> None:
    """LEGAL promises nothing that the run and its inputs cannot show, but for ends of the epoch."""
    seen: set[tuple[type[Phase], Input, type[Phase]]] = set()
    for mode, phase in CASES:
        for event in inputs(mode):
            client = client_in(mode, phase)
            client.handle(event, recorded(mode).now)
            seen.add((phase, name_of(event), type(client.phase)))
    promised = {
        (phase, event, after)
        for phase, rows in LEGAL.items()
        for event, nexts in rows.items()
        for after in nexts - {Idle}
    }
    assert promised - seen == set()
