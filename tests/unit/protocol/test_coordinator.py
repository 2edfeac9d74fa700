"""The aggregator's machine: inputs given, effects compared; the devices' are the real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId
from dreamshare.protocol import events
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.messages import (
    Cohort,
    Declined,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.protocol.outcomes import (
    DeviceDropped,
    EpochEnded,
    SumDone,
    TaskFailed,
    TellSpread,
)
from dreamshare.protocol.phases import Gathering, Ready, SettingUp, Summing, Telling
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.resuming import Stored
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.offer import EpochOffer
from tests.sim.rounds.toy import FIELDS, NAME, Toy
from tests.sim.rounds.world import World

DEVICES = tuple(PartyId(bytes([i]) * 16) for i in range(1, 8))


def coordinator_of(world: World, **changes: object) -> Coordinator:
    """Return a coordinator of the world's task with other terms."""
    terms = replace(world.terms, **changes)  # type: ignore[arg-type]
    return Coordinator(world.identity, world.task, terms, SeededEntropy(b"c"))


def offers(effects: tuple[events.CoordinatorEffect, ...]) -> list[events.SendTo]:
    return [
        effect
        for effect in effects
        if isinstance(effect, events.SendTo)
        and isinstance(effect.message, Sa2)
        and effect.message.stage is Stage.OFFER
    ]


def summing() -> World:
    """Return a world whose first round is open."""
    world = World()
    world.start()
    while not isinstance(world.coordinator.phase, Summing):
        assert world.step()
    return world


def test_it_waits_for_the_least_cohort() -> None:
    world = World(4, Cohort(3, 4))
    coordinator = coordinator_of(world, grace_s=5.0)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:2]:
        assert coordinator.handle(events.Joined(device, (NAME,)), world.now) == ()
    assert coordinator.deadline is None
    assert coordinator.handle(events.Joined(DEVICES[2], (NAME,)), world.now) == ()
    assert coordinator.deadline == world.now + 5.0
    effects = coordinator.handle(events.Ticked(), world.now + 5.0)
    (offer,) = offers(effects)
    assert offer.devices == DEVICES[:3]


def test_it_does_not_wait_when_the_roster_is_full() -> None:
    world = World(4, Cohort(3, 4))
    coordinator = coordinator_of(world)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    (offer,) = offers(coordinator.handle(events.Joined(DEVICES[3], (NAME,)), world.now))
    assert offer.devices == DEVICES[:4]
    assert isinstance(coordinator.phase, SettingUp)


def test_the_grace_ends_with_a_device_that_leaves() -> None:
    world = World(4, Cohort(3, 4))
    coordinator = coordinator_of(world)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    coordinator.handle(events.Departed(DEVICES[0]), world.now)
    assert coordinator.phase == Gathering()
    assert coordinator.deadline is None


def test_devices_that_do_not_offer_the_algorithm_do_not_count() -> None:
    world = World(3)
    coordinator = coordinator_of(world)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:4]:
        coordinator.handle(events.Joined(device, ("other/1",)), world.now)
    assert coordinator.phase == Gathering()


def test_nothing_begins_without_an_order() -> None:
    world = World(3)
    coordinator = coordinator_of(world)
    for device in DEVICES[:3]:
        assert coordinator.handle(events.Joined(device, (NAME,)), world.now) == ()
    assert offers(coordinator.handle(world.loop.order(), world.now))


@pytest.mark.parametrize("code", [RefusalCode.O1, RefusalCode.O3, RefusalCode.S6])
def test_a_device_that_refuses_the_task_is_not_asked_again(code: RefusalCode) -> None:
    world = World(4, Cohort(3, 4))
    coordinator = coordinator_of(world, grace_s=0.0)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    declined = events.HeardFrom(DEVICES[0], Declined(code, None))
    coordinator.handle(declined, world.now)
    coordinator.handle(events.Ticked(), world.now + 100.0)  # the set-up finds too few
    assert coordinator.phase == Gathering()
    effects = coordinator.handle(events.Joined(DEVICES[3], (NAME,)), world.now + 100.0)
    (offer,) = offers(effects)
    assert DEVICES[0] not in offer.devices
    assert set(offer.devices) == set(DEVICES[1:4])


def test_a_device_that_starts_anew_is_asked_again() -> None:
    world = World(3)
    coordinator = coordinator_of(world)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    coordinator.handle(events.HeardFrom(DEVICES[0], Declined(RefusalCode.S6, None)), world.now)
    coordinator.handle(world.loop.order(), world.now)
    assert coordinator.phase == Gathering()
    coordinator.handle(events.Joined(DEVICES[0], (NAME,), fresh=False), world.now)
    assert coordinator.phase == Gathering()
    assert offers(coordinator.handle(events.Joined(DEVICES[0], (NAME,), fresh=True), world.now))


def test_set_ups_that_fail_in_a_row_fail_the_task() -> None:
    world = World(3)
    coordinator = coordinator_of(world, retries=2)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    ended: list[object] = []
    for _ in range(3):
        deadline = coordinator.deadline
        assert deadline is not None
        effects = coordinator.handle(events.Ticked(), deadline)
        ended += [e.outcome for e in effects if isinstance(e, events.Report)]
    assert [type(each) for each in ended] == [EpochEnded, EpochEnded, EpochEnded, TaskFailed]
    assert effects[-1] == events.Close()
    assert effects[-2] == events.SendTo(DEVICES[:3], TaskClosed("failed"))


def test_a_set_up_that_was_disturbed_proves_nothing() -> None:
    """Devices that come and go may disturb any number of set-ups; the task goes on waiting."""
    world = World(3)
    coordinator = coordinator_of(world, retries=0)
    coordinator.handle(world.loop.order(), world.now)
    for device in DEVICES[:3]:
        coordinator.handle(events.Joined(device, (NAME,)), world.now)
    for attempt in range(5):
        assert isinstance(coordinator.phase, SettingUp)
        moment = world.now + attempt
        coordinator.handle(events.Departed(DEVICES[0]), moment)
        for device in DEVICES[1:3]:  # and with them nobody is left to wait for
            coordinator.handle(events.HeardFrom(device, Declined(RefusalCode.R1, None)), moment)
        assert coordinator.phase == Gathering()
        coordinator.handle(events.Joined(DEVICES[0], (NAME,)), moment)


def test_epochs_have_growing_numbers() -> None:
    world = World(3)
    coordinator = Coordinator(
        world.identity, world.task, world.terms, SeededEntropy(b"c"), Stored(last_epoch=2**62)
    )
    coordinator.handle(world.loop.order(), world.now)
    effects: tuple[events.CoordinatorEffect, ...] = ()
    for device in DEVICES[:3]:
        effects = coordinator.handle(events.Joined(device, (NAME,)), world.now)
    (offer,) = offers(effects)
    assert isinstance(offer.message, Sa2)
    assert EpochOffer.decode(offer.message.body).epoch == 2**62 + 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"fields": FIELDS[:1]}, "does not declare"),
        ({"weight_cap": 2.0}, "weight cap"),
        ({"fields": (replace(FIELDS[0], bound=2.0), FIELDS[1])}, "above the declared"),
        ({"plan": RoundPlan("toy/1", "other", b"{}")}, "declares no step"),
        ({"plan": RoundPlan("other/1", "sum", b"{}")}, "declares no step"),
    ],
)
def test_an_order_outside_the_terms_is_the_owners_error(
    change: dict[str, object], text: str
) -> None:
    world = World()
    order = world.loop.order()
    assert isinstance(order, events.Asked)
    with pytest.raises(ConfigError, match=text):
        world.coordinator.handle(replace(order, **change), world.now)  # type: ignore[arg-type]
    assert world.coordinator.handle(order, world.now) == ()  # the right one is taken


def test_a_lower_bound_is_within_the_terms() -> None:
    """12.2: a round may lower C; the signed parameters say by how much."""
    world = World()
    world.start()
    order = world.loop.order()
    assert isinstance(order, events.Asked)
    lower = (replace(FIELDS[0], bound=0.5), FIELDS[1])
    coordinator = coordinator_of(world)
    coordinator.handle(replace(order, fields=lower), world.now)


def test_a_fresh_device_is_sent_the_running_stage_again() -> None:
    world = summing()
    device = world.devices[2]
    joined = events.Joined(device.id, (NAME,))
    (again,) = world.coordinator.handle(joined, world.now)
    assert isinstance(again, events.SendTo)
    assert again.devices == (device.id,)
    assert isinstance(again.message, RoundOpening)
    resumed = events.Joined(device.id, (NAME,), fresh=False)
    assert world.coordinator.handle(resumed, world.now) == ()


def test_a_late_refusal_of_a_round_that_is_over_costs_nothing() -> None:
    world = summing()
    late = events.HeardFrom(world.devices[0].id, Declined(RefusalCode.S4, 77))
    assert world.coordinator.handle(late, world.now) == ()
    world.finish()
    assert len(world.sums[0][0].survivors) == 4


def test_a_declined_round_goes_on_without_the_device() -> None:
    world = summing()
    device = world.devices[0]
    while device.working is None:
        assert world.step_messages()
    world.feed(device, events.Interrupted("on battery"))
    world.finish()
    assert device.id not in world.sums[0][0].survivors
    assert device.id in world.sums[1][0].survivors  # one missed round is no reason to be left out


def test_rounds_and_sessions_are_named_for_the_envelope() -> None:
    world = World()
    assert world.coordinator.session is None
    assert world.coordinator.round is None
    world = summing()
    assert world.coordinator.round == 0
    assert world.coordinator.session == world.devices[0].participant.session
    assert set(world.coordinator.members) == {device.id for device in world.devices}


def test_a_first_tell_needs_no_epoch() -> None:
    class TellFirst(Toy):
        def plan(self, state):  # type: ignore[no-untyped-def]
            return super().plan(replace(state, sums=2) if state.tells == 0 else state)

    world = World(toy=TellFirst(sums=3, tell_every=2))
    world.start()
    assert isinstance(world.coordinator.phase, Telling)
    assert world.coordinator.phase.server is None
    assert world.coordinator.session is None
    world.finish()
    assert world.kinds()[:2] == ["TellSpread", "EpochStarted"]
    assert world.reports[0] == TellSpread(1, 4, 4, "tell", 0)


def test_a_tell_ends_at_its_deadline_without_the_slow() -> None:
    world = World()
    world.start()
    while not any(isinstance(message, TellOrder) for _, message in world.down):
        assert world.step()
    slow = world.devices[0]
    world.down = [each for each in world.down if each[0] != slow.id]
    while world.step():
        pass
    assert isinstance(world.coordinator.phase, Telling)
    assert world.coordinator.phase.waiting == {slow.id}
    deadline = world.coordinator.deadline
    assert deadline is not None
    world.tick(deadline)
    spread = [report for report in world.reports if isinstance(report, TellSpread)]
    assert spread == [TellSpread(1, 4, 3, "tell", 0)]
    # The next round first brings the slow one along.
    assert isinstance(world.coordinator.phase, Telling)
    world.finish()
    assert slow.learnt == [1]
    assert len(world.sums) == 3


def test_a_device_cannot_prolong_a_tell_or_have_it_sent_without_end() -> None:
    """Saying the same again is no progress, and a Tell that is under way is not sent again."""
    world = World()
    world.start()
    while not any(isinstance(message, TellOrder) for _, message in world.down):
        assert world.step()
    device = world.devices[0].id
    deadline = world.coordinator.deadline
    for _ in range(5):
        heard = events.HeardFrom(device, TellDone(0))
        assert world.coordinator.handle(heard, world.now + 1.0) == ()
        assert world.coordinator.deadline == deadline
    back = world.coordinator.handle(events.Joined(device, (NAME,)), world.now + 2.0)
    assert not [e for e in back if isinstance(e, events.SendTo)]  # no stage is open
    heard = events.HeardFrom(device, TellDone(0))
    (again,) = world.coordinator.handle(heard, world.now + 2.0)
    assert isinstance(again, events.SendTo)
    assert isinstance(again.message, TellOrder)


def test_a_refusal_counts_and_is_reported_once() -> None:
    world = summing()
    refusal = events.HeardFrom(world.devices[0].id, Declined(RefusalCode.S6, 0))
    first = world.coordinator.handle(refusal, world.now)
    assert [type(effect) for effect in first] == [events.Report]
    assert world.coordinator.handle(refusal, world.now) == ()
    whole = events.HeardFrom(world.devices[0].id, Declined(RefusalCode.S6, None))
    assert world.coordinator.handle(whole, world.now) != ()
    assert world.coordinator.handle(whole, world.now) == ()


def test_a_device_that_claims_to_be_ahead_is_not_sent_anything() -> None:
    world = summing()
    ahead = events.HeardFrom(world.devices[0].id, TellDone(99))
    assert world.coordinator.handle(ahead, world.now) == ()


def test_a_dropout_is_reported_once() -> None:
    world = summing()
    gone = world.devices[3]
    world.depart(gone)
    world.finish()
    assert world.reports.count(DeviceDropped(gone.id)) == 1


def test_an_epoch_of_too_few_ends_before_the_next_round() -> None:
    """Two of four leave between rounds: A_min = 3 (4.4), so no round is opened in vain."""
    world = World(4, Cohort(3, 4), toy=Toy(sums=3, tell_every=0))
    world.start()
    world.tick(world.now + 5.0)
    world.loop.react = lambda outcome: None  # type: ignore[method-assign]  # the owner hesitates
    while not world.sums:
        assert world.step()
    assert isinstance(world.coordinator.phase, Ready)
    for device in world.devices[:2]:
        world.depart(device)
    world.tell_coordinator(replace(world.asked(), sums=2))
    assert world.coordinator.phase == Gathering()
    assert world.reports[-1] == EpochEnded("renewed")


def test_a_sum_of_weight_zero_fails_the_task() -> None:
    world = World(answers=lambda update: replace(update, weight=0.0))
    world.run()
    assert world.reports[-1] == TaskFailed("every device answered with weight 0: nothing is shared")
    assert not [report for report in world.reports if isinstance(report, SumDone)]
