"""A device whose answer came too late: it is sent no more, and set aside where it is in no sum."""

from __future__ import annotations

from dreamshare.protocol import events
from dreamshare.protocol.outcomes import SumDone
from dreamshare.protocol.phases import Answering, Computing, ParticipantPhase, Resting
from tests.sim.rounds.toy import answer_of
from tests.sim.rounds.world import World


def without_the_first() -> tuple[World, events.Compute]:
    """Return a world whose first round closed without device 0, which still computes."""
    world = World(8)
    world.start()
    while not all(isinstance(d.participant.phase, Computing) for d in world.devices):
        assert world.step_messages()
    late = world.devices[0]
    order, late.working = late.working, None
    assert isinstance(order, events.Compute)
    for device in world.devices[1:]:
        world.work(device)
    while world.up:
        world.deliver_up(0)
    deadline = world.coordinator.deadline
    assert deadline is not None
    world.tick(deadline)
    return world, order


def test_an_answer_after_the_result_is_set_aside_and_not_sent() -> None:
    world, order = without_the_first()
    late = world.devices[0]
    while not _is_closed(late.participant.phase):
        assert world.step_messages()
    update = answer_of(late.id, order.plan)
    effects = late.participant.handle(events.Computed(order.payload_hash, update), world.now)
    assert effects == (events.SetAside(order.plan, update),)
    assert late.participant.phase == Resting()


def test_an_answer_that_was_sent_in_vain_is_set_aside_when_the_result_says_so() -> None:
    world, order = without_the_first()
    late = world.devices[0]
    update = answer_of(late.id, order.plan)
    world.feed(late, events.Computed(order.payload_hash, update))
    assert isinstance(late.participant.phase, Answering)
    while not [e for e in late.effects if isinstance(e, events.SetAside)]:
        assert world.step_messages()
    (done,) = [report for report in world.reports if isinstance(report, SumDone)]
    assert late.id not in done.survivors
    for device in world.devices[1:]:
        assert not [e for e in device.effects if isinstance(e, events.SetAside)]


def _is_closed(phase: ParticipantPhase) -> bool:
    return isinstance(phase, Computing) and phase.closed
