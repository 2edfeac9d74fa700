"""Runs in which one thing happens; failures that were found and shrunk keep their list here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dreamshare.errors import ConfigError, UnsafePlan
from dreamshare.protocol.messages import Cohort, Declined, RoundOpening, Sa2, TellOrder
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceDropped,
    EpochStarted,
    RoundDeclined,
    RoundDone,
    SumAbandoned,
    SumDone,
    TaskFailed,
    TaskOver,
    TellSpread,
)
from dreamshare.protocol.phases import Computing, Gathering, Summing, Telling
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.position import TellPosition
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import AbortReason, Stage
from tests.sim.rounds import invariants
from tests.sim.rounds.bounded import bounded_world
from tests.sim.rounds.operations import (
    Crash,
    Disconnect,
    Drop,
    Operation,
    RestartAggregator,
    Steps,
    Wait,
)
from tests.sim.rounds.toy import Toy, mean_of
from tests.sim.rounds.world import Device, World


def opened(world: World) -> bool:
    """Whether a round is open and every device of it computes."""
    busy = [d for d in world.devices if isinstance(d.participant.phase, Computing)]
    return isinstance(world.coordinator.phase, Summing) and len(busy) == len(world.devices)


def until_opened(world: World) -> World:
    """Start, and go on until the first round is being computed by all."""
    world.start()
    while not opened(world):
        assert world.step_messages()
    return world


def reports_of(world: World, kind: type) -> list[object]:
    return [report for report in world.reports if isinstance(report, kind)]


ROUNDS = ["RoundDone", "RoundDone", "TellLearnt", "RoundDone"]


def test_a_kind_network() -> None:
    world = World()
    world.run()
    assert world.kinds() == ["EpochStarted", "SumDone", "SumDone", "TellSpread", "SumDone"]
    invariants.check(world)
    invariants.check_ended(world)
    for device in world.devices:
        kinds = [type(outcome).__name__ for outcome in device.outcomes]
        assert kinds == ["EpochJoined", *ROUNDS, "TaskOver"]
        assert device.outcomes[-1] == TaskOver(world.task, "done")


def test_an_epoch_is_as_long_as_the_task_needs() -> None:
    """R = ceil(1.1 x sums) (4.11): 3 sums take ceil(3.3) = 4 rounds."""
    world = World(toy=Toy(sums=3))
    world.run()
    (started,) = reports_of(world, EpochStarted)
    assert isinstance(started, EpochStarted)
    assert started.rounds == 4
    assert len(started.members) == 4


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_the_mean_is_weighted_by_what_each_device_said(n: int) -> None:
    world = World(n)
    world.run()
    invariants.check_sums(world)
    done, plan = world.sums[0]
    weights = [each.weight for each in (world.answer(d, plan) for d in done.survivors)]
    assert done.weight_sum == pytest.approx(sum(weights), abs=n * 2.0**-17)


def test_a_device_that_leaves_in_mid_round_is_left_out() -> None:
    world = until_opened(World())
    world.depart(world.devices[1])
    world.finish()
    assert DeviceDropped(world.devices[1].id) in world.reports
    assert all(len(done.survivors) == 3 for done, _ in world.sums)
    assert not reports_of(world, SumAbandoned)
    invariants.check(world)
    invariants.check_ended(world)


def test_three_devices_survive_no_dropout() -> None:
    """n = 3: A_min = u_min = 3 (4.4): the round is given up, and the task waits for a third."""
    world = until_opened(World(3))
    world.depart(world.devices[0])
    world.finish()
    abandoned = reports_of(world, SumAbandoned)
    assert abandoned
    assert not reports_of(world, SumDone)
    assert isinstance(world.coordinator.phase, Gathering)
    world.join(world.devices[0])
    world.finish()
    invariants.check_ended(world)
    assert len(world.sums) == 3


def test_a_device_that_never_answers_costs_one_deadline() -> None:
    """Its vector is lost: the round closes at its deadline, over the other three."""
    world = until_opened(World())
    mute = world.devices[2]
    mute.working = None
    before = world.now
    while not world.sums:
        if not world.step():
            deadline = world.coordinator.deadline
            assert deadline is not None
            world.tick(deadline)
    assert mute.id not in world.sums[0][0].survivors
    assert world.now - before == pytest.approx(40.0, abs=1.0)  # collect_s of the world's terms
    world.finish()
    invariants.check_ended(world)


@pytest.mark.parametrize("make", [World, bounded_world])
def test_a_round_that_was_answered_is_asked_with_another_draw(make: Callable[[], World]) -> None:
    """All UnmaskResponses are lost: NO result, and the retry has draw 1 (7.1)."""
    world = until_opened(make())
    while not world.reports_abandoned():
        world.up = [
            (device, message)
            for device, message in world.up
            if not (isinstance(message, Sa2) and message.stage is Stage.UNMASK_RESPONSE)
        ]
        if not world.step():
            deadline = world.coordinator.deadline
            assert deadline is not None
            world.tick(deadline)
    (abandoned,) = world.reports_abandoned()
    assert abandoned == SumAbandoned(AbortReason.TOO_FEW_ANSWERS, True, "sum", 0)
    world.finish()
    assert [plan.draw for _, plan in world.sums] == [1, 0, 0]
    invariants.check(world)


def test_an_unanswered_round_is_asked_again_without_computing_again() -> None:
    """Three vectors are lost: the retry has the same payload, and the devices have its update."""
    world = until_opened(World())
    for device in world.devices:
        world.work(device)
    world.up = [each for each in world.up if each[0] == world.devices[0].id]
    world.finish()
    (abandoned,) = world.reports_abandoned()
    assert abandoned.reason is AbortReason.TOO_FEW_INPUTS
    assert abandoned.again
    assert [plan.draw for _, plan in world.sums] == [0, 0, 0]
    first = world.sums[0][1].payload().hash
    assert all(device.computed[first] == 1 for device in world.devices)
    invariants.check(world)


def test_a_sum_that_is_given_up_too_often_fails_the_task() -> None:
    """One attempt and three retries; every device declines every plan."""

    def never(_plan: RoundPlan) -> None:
        raise UnsafePlan("not on this device")

    world = World(permits=never)
    world.run()
    assert [each.again for each in world.reports_abandoned()] == [True, True, True, False]
    (failed,) = reports_of(world, TaskFailed)
    assert isinstance(failed, TaskFailed)
    assert "4 rounds for step 'sum' were given up" in failed.reason
    for device in world.devices:
        declined = [o for o in device.outcomes if isinstance(o, RoundDeclined)]
        assert declined
        assert declined[0].code is RefusalCode.S5
        assert declined[0].text == "not on this device"
        assert device.outcomes[-1] == TaskOver(world.task, "failed")


def test_a_refusal_is_told_by_its_code_alone() -> None:
    """10.1: Declined has no place for a text."""

    def never(_plan: RoundPlan) -> None:
        raise ConfigError("secret reason")

    world = World(permits=never)
    world.run()
    told = [m for d in world.devices for m in d.sent if isinstance(m, Declined)]
    assert {m.code for m in told} == {RefusalCode.S6}


@pytest.mark.parametrize("steps", range(0, 64, 3))
def test_a_device_that_crashes_at_any_step_goes_on(steps: int) -> None:
    world = World()
    world.start()
    world.apply([Steps(steps), Crash(1)])
    world.finish()
    invariants.check(world)
    invariants.check_ended(world)
    assert len(world.sums) == 3


@pytest.mark.parametrize("steps", range(0, 120, 7))
def test_an_aggregator_that_restarts_at_any_step_goes_on(steps: int) -> None:
    world = World()
    world.start()
    world.apply([Steps(steps), RestartAggregator()])
    world.finish()
    invariants.check(world)
    invariants.check_ended(world)
    assert len(world.sums) == 3


def test_a_device_that_missed_a_tell_fetches_it_before_the_next_round() -> None:
    world = World()
    world.start()
    while not any(isinstance(message, TellOrder) for _, message in world.down):
        assert world.step()
    late = world.devices[3]
    world.depart(late)
    world.join(late)
    assert isinstance(world.coordinator.phase, Telling)
    world.finish()
    assert late.learnt == [1]
    invariants.check(world)
    invariants.check_ended(world)


def test_a_device_that_is_behind_declines_and_catches_up() -> None:
    """The aggregator believes that the device has learnt; the device knows better."""
    world = World(toy=Toy(sums=4, tell_every=2))
    world.start()
    while not reports_of(world, TellSpread):
        assert world.step()
    behind = world.devices[0]
    forget_tells(behind)
    world.finish()
    declined = [o for o in behind.outcomes if isinstance(o, RoundDeclined)]
    assert [(o.code, o.text) for o in declined] == [(RefusalCode.S5, "behind")]
    assert DeviceDeclined(behind.id, RefusalCode.S5, declined[0].round) in world.reports
    assert behind.participant.tells_learnt == 2
    invariants.check_sums(world)
    assert len(world.sums) == 4


def forget_tells(device: Device) -> None:
    """Take a device back to where it had learnt nothing."""
    device.participant._position = TellPosition()


def test_devices_that_wait_are_let_in_by_a_new_epoch_between_rounds() -> None:
    """One of five is waiting: a tenth of the roster, at least one (4.11)."""
    world = World(5, Cohort(least=4, most=5))
    late = world.devices[4]
    for device in world.devices[:4]:
        world.join(device)
    world.tell_coordinator(world.loop.order())
    world.apply([Wait()])  # the grace for more is over
    while not world.sums:
        assert world.step()
    world.join(late)
    world.finish()
    epochs = [r for r in world.reports if isinstance(r, EpochStarted)]
    assert [len(epoch.members) for epoch in epochs] == [4, 5]
    assert late.id in world.sums[-1][0].survivors
    invariants.check(world)
    invariants.check_ended(world)


def test_nobody_waits_for_more_devices_than_the_roster_takes() -> None:
    world = World(5, Cohort(least=3, most=3))
    world.run()
    (epoch,) = [r for r in world.reports if isinstance(r, EpochStarted)]
    assert len(epoch.members) == 3
    invariants.check_ended(world)


def test_an_expired_epoch_is_followed_by_another() -> None:
    world = World()
    world.start()
    while not world.sums:
        assert world.step()
    world.now += 86_400 - 20  # less than a round is left
    world.finish()
    assert len([r for r in world.reports if isinstance(r, EpochStarted)]) == 2
    assert len(world.sums) == 3
    invariants.check_ended(world)


@pytest.mark.parametrize(
    "operations",
    [
        [Steps(8), Wait(), Crash(2)],  # the offer of a second set-up meets a stored answer
        [Wait(), Drop(4, up=True), Disconnect(4), Disconnect(2), Steps(23), RestartAggregator()],
        [Steps(5), Disconnect(0), Disconnect(3), Steps(24), RestartAggregator()],
        [Steps(22), Wait(), Steps(25), Wait(), Disconnect(4), Steps(25), RestartAggregator()],
    ],
)
def test_kept_failures(operations: list[Operation]) -> None:
    world = World(5, Cohort(least=4, most=5))
    world.start()
    world.apply(operations)
    world.calm()
    invariants.check(world)
    invariants.check_ended(world)


def test_equal_runs_are_equal() -> None:
    """Entropy is an argument: two worlds of one seed say the same bytes."""
    one, two = World(), World()
    one.run()
    two.run()
    assert [d.sent for d in one.devices] == [d.sent for d in two.devices]
    assert all(
        np.array_equal(np.asarray(a.mean["x"]), np.asarray(b.mean["x"]))
        for (a, _), (b, _) in zip(one.sums, two.sums, strict=True)
    )


def test_no_opening_reveals_more_than_the_plan() -> None:
    """Every device of a round is sent the same opening, byte for byte (3, rctx)."""
    world = World()
    world.start()
    openings: dict[bytes, set[bytes]] = {}
    while not world.closed:
        for _, message in world.down:
            if isinstance(message, RoundOpening):
                openings.setdefault(message.plan.payload().hash, set()).add(message.start)
        assert world.step()
    assert len(openings) == 3
    assert all(len(starts) == 1 for starts in openings.values())


def test_a_cancelled_task_says_so_and_forgets() -> None:
    world = until_opened(World())
    world.cancel()
    assert world.closed
    world.finish()
    for device in world.devices:
        assert device.outcomes[-1] == TaskOver(world.task, "cancelled")
        assert not device.journal.slots().keys() - {"rounding"}


def test_means_are_those_of_the_devices_that_survived() -> None:
    world = until_opened(World(5))
    world.depart(world.devices[0])
    world.finish()
    done, plan = world.sums[0]
    others = mean_of(tuple(d.id for d in world.devices), plan)
    assert np.abs(np.asarray(done.mean["x"]) - others["x"]).max() > 1e-3
    invariants.check_sums(world)
    assert [type(o) for o in world.devices[1].outcomes].count(RoundDone) == 3
