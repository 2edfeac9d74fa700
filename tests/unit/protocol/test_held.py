"""A task that is held: what is open ends, nothing begins, and it goes on where it was."""

from __future__ import annotations

from dreamshare.protocol import events
from dreamshare.protocol.outcomes import EpochStarted, SumAbandoned, SumDone, TaskFailed
from dreamshare.protocol.phases import Ready
from dreamshare_crypto.secagg.events import AbortReason
from tests.sim.rounds.toy import NAME
from tests.sim.rounds.world import World
from tests.unit.protocol.test_coordinator import DEVICES, coordinator_of, offers, summing


def held(world: World, *, give_up: bool = False) -> None:
    world.tell_coordinator(events.Held(give_up))


def test_what_is_held_finishes_its_round_and_begins_no_other() -> None:
    world = summing()
    session = world.coordinator.session
    held(world)
    while world.step():
        pass
    assert [type(report) for report in world.reports].count(SumDone) == 1
    assert isinstance(world.coordinator.phase, Ready), "its epoch stands"
    world.tell_coordinator(events.Released())
    world.finish()
    assert world.closed
    assert [type(report) for report in world.reports].count(SumDone) == 3
    assert [type(report) for report in world.reports].count(EpochStarted) == 1
    assert session is not None


def test_what_is_held_at_once_gives_its_round_up_and_asks_again_later() -> None:
    world = summing()
    for device in world.devices:  # every vector is out before the owner changes his mind
        while device.working is None and world.step_messages():
            pass
    held(world, give_up=True)
    (given_up,) = [report for report in world.reports if isinstance(report, SumAbandoned)]
    assert (given_up.reason, given_up.again) == (AbortReason.CANCELLED, True)
    for _ in range(20):  # an owner may do so as often as he likes: it is no failure
        world.tell_coordinator(events.Released())
        held(world, give_up=True)
    world.tell_coordinator(events.Released())
    world.finish()
    assert world.closed
    assert not [report for report in world.reports if isinstance(report, TaskFailed)]


def test_what_is_held_gathers_nobody() -> None:
    world = World(3)
    coordinator = coordinator_of(world)
    coordinator.handle(events.Held(), world.now)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        assert coordinator.handle(events.Joined(device, (NAME,)), world.now) == ()
    assert coordinator.deadline is None
    assert offers(coordinator.handle(events.Released(), world.now))


def test_what_is_held_can_be_ended_in_every_phase() -> None:
    for steps in range(0, 200, 7):
        world = World(3)
        world.start()
        for _ in range(steps):
            world.step()
        held(world)
        if not world.closed:
            world.cancel()
        assert world.closed
