"""Bounded mode through coordinator and participants (docs/protocol.md 4.5, 7.5)."""

from __future__ import annotations

from dreamshare.protocol.messages import Cohort, Sa2
from dreamshare.protocol.outcomes import (
    EpochEnded,
    EpochJoined,
    EpochStarted,
    RoundDeclined,
    SumAbandoned,
)
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from tests.sim.rounds import invariants
from tests.sim.rounds.bounded import bounded_world
from tests.sim.rounds.world import World


def test_a_kind_network() -> None:
    """No device signs survivors; operator and devices are told the crowd, E = 8."""
    world = bounded_world()
    world.run()
    assert world.kinds() == ["EpochStarted", "SumDone", "SumDone", "TellSpread", "SumDone"]
    started = world.reports[0]
    assert isinstance(started, EpochStarted)
    assert (started.crowd, started.colluders) == (8, 1)
    for device in world.devices:
        assert device.outcomes[0] == EpochJoined(world.task, 10, 8, 1)
        assert not any(m.stage is Stage.AGREE for m in world.sa2_sent(device))
    invariants.check(world)
    invariants.check_ended(world)


def test_devices_that_do_not_allow_it_refuse_the_offer() -> None:
    """Their operators did not list it (O1): nobody takes part, and no secret is made."""
    world = World(10, Cohort(10, 10, dropouts=0.1))
    world.start()
    while not all(device.outcomes for device in world.devices):
        assert world.step_messages()
    for device in world.devices:
        declined = device.outcomes[0]
        assert isinstance(declined, RoundDeclined)
        assert (declined.code, declined.text) == (RefusalCode.O1, "O1: mode 2 is not allowed")
        assert not any(isinstance(message, Sa2) for message in device.sent)


def test_an_epoch_that_lost_more_than_d_is_renewed() -> None:
    """Two of ten go and d = 1: the next round could not end, so it is not opened."""
    world = bounded_world()
    world.start()
    while not world.sums:
        assert world.step()
    before = len(world.opened)
    for device in world.devices[8:]:
        world.depart(device)
    while EpochEnded("renewed") not in world.reports:
        assert world.step()
    late = [r for r in world.reports if isinstance(r, SumAbandoned)]
    assert len(world.opened) - before <= 1  # the one that was open already
    assert len(late) <= 1
