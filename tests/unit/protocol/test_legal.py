"""LEGAL is the whole truth: what is in it is handled, anything else raises and changes nothing."""

from __future__ import annotations

from itertools import product
from typing import get_args

import numpy as np
import pytest

from dreamshare.errors import LocalProtocolError, PeerProtocolError
from dreamshare.ids import PartyId
from dreamshare.protocol import events, phases
from dreamshare.protocol.messages import (
    CheckIn,
    Declined,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.shard_messages import FromShard, Lost
from tests.sim.rounds.toy import FIELDS
from tests.sim.rounds.world import World

PLAN = RoundPlan("toy/1", "sum", b"{}")
UPDATE = Update({"x": np.zeros((2, 3)), "count": np.zeros(())})
DEVICE = PartyId(b"d" * 16)

PARTICIPANT_INPUTS: tuple[events.ParticipantInput, ...] = (
    events.Heard(Sa2(Stage.SURVIVORS, b"x")),
    events.Heard(RoundOpening(b"x", PLAN)),
    events.Heard(TellOrder(1, PLAN)),
    events.Heard(TaskClosed("done")),
    events.Connected(),
    events.Computed(b"h" * 32, UPDATE),
    events.ComputeFailed(b"h" * 32, "no"),
    events.Learnt(1),
    events.LearnFailed(1, "no"),
    events.Interrupted("on battery"),
    events.Ticked(),
    events.Abandoned(),
)
PARTICIPANT_PHASES: tuple[phases.ParticipantPhase, ...] = (
    phases.Resting(),
    phases.Resting(phases.Pending(b"h" * 32)),
    phases.Resting(phases.Prepared(b"h" * 32, UPDATE)),
    phases.Computing(3, b"h" * 32, FIELDS),
    phases.Answering(3, phases.Prepared(b"h" * 32, UPDATE)),
    phases.Learning(1, b"h" * 32, "tell"),
    phases.Gone(),
)
COORDINATOR_INPUTS: tuple[events.CoordinatorInput, ...] = (
    events.Joined(DEVICE, ("toy/1",)),
    events.Departed(DEVICE),
    events.HeardFrom(DEVICE, Sa2(Stage.AGREE, b"x")),
    events.HeardFrom(DEVICE, Declined(RefusalCode.S4, 0)),
    events.HeardFrom(DEVICE, TellDone(0)),
    events.Asked(PLAN, ()),
    events.Told(PLAN),
    events.Held(),
    events.Held(give_up=True),
    events.Released(),
    events.Finished("done"),
    events.Ticked(),
    events.Acknowledging(),
    FromShard(1, Lost()),
)


@pytest.mark.parametrize(
    ("table", "union", "inputs"),
    [
        (phases.PARTICIPANT_LEGAL, phases.ParticipantPhase, PARTICIPANT_INPUTS),
        (phases.COORDINATOR_LEGAL, phases.CoordinatorPhase, COORDINATOR_INPUTS),
    ],
)
def test_the_tables_speak_of_phases_and_inputs_that_exist(
    table: dict[tuple[type, type], frozenset[type]], union: object, inputs: tuple[object, ...]
) -> None:
    known = set(get_args(union))
    kinds = {phases.input_type(each) for each in inputs}  # type: ignore[arg-type]
    assert {phase for phase, _ in table} == known
    assert {kind for _, kind in table} == kinds
    for following in table.values():
        assert following
        assert following <= known


@pytest.mark.parametrize(("phase", "event"), list(product(PARTICIPANT_PHASES, PARTICIPANT_INPUTS)))
def test_a_participant_follows_its_table(
    phase: phases.ParticipantPhase, event: events.ParticipantInput
) -> None:
    """Phases are planted, so that the machine meets inputs which an honest run does not have."""
    world = World()
    participant = world.devices[0].participant
    participant.phase = phase
    following = phases.PARTICIPANT_LEGAL.get((type(phase), phases.input_type(event)))
    if following is None:
        with pytest.raises(LocalProtocolError):
            participant.handle(event, world.now)
        assert participant.phase is phase
    else:
        participant.handle(event, world.now)
        assert type(participant.phase) in following


@pytest.mark.parametrize("event", COORDINATOR_INPUTS)
def test_a_coordinator_without_devices_follows_its_table(event: events.CoordinatorInput) -> None:
    world = World()
    coordinator = world.coordinator
    following = phases.COORDINATOR_LEGAL[phases.Gathering, phases.input_type(event)]
    if isinstance(event, events.Asked):
        event = world.loop.order()  # type: ignore[assignment]
    coordinator.handle(event, world.now)
    assert type(coordinator.phase) in following


def test_a_message_that_has_no_place_is_the_peers_fault() -> None:
    """CheckIn belongs to the link, not to a task; no phase of a coordinator knows it."""
    world = World()
    heard = events.HeardFrom(DEVICE, CheckIn(("toy/1",)))  # type: ignore[arg-type]
    with pytest.raises(PeerProtocolError):
        world.coordinator.handle(heard, world.now)
    assert isinstance(world.coordinator.phase, phases.Gathering)


def test_one_order_at_a_time() -> None:
    world = World()
    order = world.loop.order()
    assert isinstance(order, events.Asked)
    world.coordinator.handle(order, world.now)
    with pytest.raises(LocalProtocolError, match="an order is open"):
        world.coordinator.handle(order, world.now)


def test_over_is_over() -> None:
    world = World()
    world.coordinator.handle(events.Finished("cancelled"), world.now)
    for event in COORDINATOR_INPUTS:
        if not isinstance(event, events.Asked | events.Told):
            assert world.coordinator.handle(event, world.now) == ()
            assert world.coordinator.phase == phases.Over("cancelled")
    with pytest.raises(LocalProtocolError):
        world.coordinator.handle(world.loop.order(), world.now)
