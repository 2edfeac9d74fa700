"""The device's machine: inputs given, effects compared; the aggregator's is the real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.errors import BudgetExhausted, ConfigError, PrivacyError, UnsafePlan
from dreamshare.protocol import events
from dreamshare.protocol.messages import (
    Declined,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.protocol.outcomes import RoundAborted, RoundDeclined, TaskOver, TellLearnt
from dreamshare.protocol.phases import Answering, Computing, Gone, Learning, Pending, Resting
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import AbortReason, RecordKind, Stage
from tests.sim.rounds.toy import FIELDS, answer_of
from tests.sim.rounds.world import Device, World


def computing() -> tuple[World, Device]:
    """Return a world whose first round is open, and a device that computes."""
    world = World()
    world.start()
    while not all(isinstance(d.participant.phase, Computing) for d in world.devices):
        assert world.step_messages()
    return world, world.devices[0]


def sends(effects: tuple[events.ParticipantEffect, ...]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, events.Send)]


def emits(effects: tuple[events.ParticipantEffect, ...]) -> list[object]:
    return [effect.outcome for effect in effects if isinstance(effect, events.Emit)]


def test_a_connection_begins_with_how_far_the_device_has_come() -> None:
    world = World()
    effects = world.devices[0].participant.handle(events.Connected(), world.now)
    assert effects == (events.Send(TellDone(0)),)


def test_what_is_ordered_to_compute_is_what_was_signed() -> None:
    """Names and shapes come from the plan, bounds and bits from the signed parameters."""
    _, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    assert order.fields == FIELDS
    assert order.weight_cap == 1.0
    assert order.payload_hash == order.plan.payload().hash
    assert order.plan.step == "sum"


def test_an_update_is_journalled_and_sent() -> None:
    world, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    done = events.Computed(order.payload_hash, answer_of(device.id, order.plan))
    effects = device.participant.handle(done, world.now)
    persist, send = effects
    assert isinstance(persist, events.Persist)
    assert persist.record.kind is RecordKind.VECTOR
    assert persist.sync
    assert isinstance(send, events.Send)
    assert isinstance(send.message, Sa2)
    assert send.message.stage is Stage.MASKED_INPUT
    assert isinstance(device.participant.phase, Answering)


def test_the_result_of_another_computation_changes_nothing() -> None:
    world, device = computing()
    before = device.participant.phase
    stray = events.Computed(b"other" * 6 + b"!!", Update())
    assert device.participant.handle(stray, world.now) == ()
    assert device.participant.phase is before


@pytest.mark.parametrize(
    "update",
    [
        Update({"x": np.zeros((2, 3))}),  # a declared field is missing
        Update({"x": np.zeros((3, 2)), "count": np.zeros(())}),  # another shape
        Update({"x": np.full((2, 3), np.nan), "count": np.zeros(())}),
        Update({"x": np.zeros((2, 3)), "count": np.zeros(()), "extra": np.zeros(1)}),
        Update({"x": np.zeros((2, 3)), "count": np.zeros(())}, weight=1.5),  # above W = 1
        Update({"x": np.zeros((2, 3)), "count": np.zeros(())}, weight=float("nan")),
    ],
)
def test_an_update_that_was_not_declared_is_declined(update: Update) -> None:
    world, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    effects = device.participant.handle(events.Computed(order.payload_hash, update), world.now)
    assert sends(effects) == [Declined(RefusalCode.E1, 0)]
    (outcome,) = emits(effects)
    assert isinstance(outcome, RoundDeclined)
    assert outcome.code is RefusalCode.E1
    assert device.participant.phase == Resting()


def test_a_failed_computation_is_declined_with_its_code() -> None:
    world, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    failed = events.ComputeFailed(order.payload_hash, "on battery", RefusalCode.S6)
    effects = device.participant.handle(failed, world.now)
    assert sends(effects) == [Declined(RefusalCode.S6, 0)]
    assert emits(effects) == [RoundDeclined(world.task, 0, RefusalCode.S6, "on battery")]


def test_an_interruption_stops_the_work_and_declines() -> None:
    world, device = computing()
    effects = device.participant.handle(events.Interrupted("unplugged"), world.now)
    assert effects[0] == events.Stop()
    assert sends(effects) == [Declined(RefusalCode.S6, 0)]
    assert device.participant.phase == Resting()
    assert device.participant.handle(events.Interrupted("again"), world.now) == ()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsafePlan("below the floor"), RefusalCode.S5),
        (BudgetExhausted("spent"), RefusalCode.S6),
        (PrivacyError("no"), RefusalCode.S6),
        (ConfigError("unknown step"), RefusalCode.S6),
    ],
)
def test_what_the_owner_does_not_permit_is_declined(error: Exception, code: RefusalCode) -> None:
    def never(_plan: RoundPlan) -> None:
        raise error

    world = World(permits=never)
    world.start()
    device = world.devices[0]
    while not any(isinstance(message, Declined) for message in device.sent):
        assert world.step()
    assert device.outcomes[1:] == [RoundDeclined(world.task, 0, code, str(error))]
    assert device.working is None


def test_an_opening_without_a_session_is_declined_as_a_lost_journal() -> None:
    world, device = computing()
    opening = RoundOpening(b"whatever", RoundPlan("toy/1", "sum", b"{}"))
    fresh = World().devices[0].participant
    assert fresh.handle(events.Heard(opening), world.now) == (
        events.Send(Declined(RefusalCode.J1, None)),
    )
    assert device.participant.session is not None


def test_a_wrong_payload_is_refused() -> None:
    """The plan that came does not hash to the Hb that was signed (S5)."""
    world = World()
    world.start()
    device = world.devices[0]
    while True:
        place = next(
            (i for i, (_, m) in enumerate(world.down) if isinstance(m, RoundOpening)), None
        )
        if place is not None:
            break
        assert world.step()
    _, opening = world.down[place]
    assert isinstance(opening, RoundOpening)
    forged = RoundOpening(opening.start, RoundPlan("toy/1", "sum", b"{}", cycle=9))
    effects = device.participant.handle(events.Heard(forged), world.now)
    assert sends(effects) == [Declined(RefusalCode.S5, 0)]
    assert not [e for e in effects if isinstance(e, events.Compute)]


def test_a_round_that_is_given_up_keeps_the_running_computation() -> None:
    """A next round of the same payload waits for it instead of ordering it again."""
    world, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    for other in world.devices[1:]:
        other.working = None
    deadline = world.coordinator.deadline
    assert deadline is not None
    world.tick(deadline)  # too few inputs: asked again, unanswered, the same payload
    while world.step_messages():
        pass
    phase = device.participant.phase
    assert isinstance(phase, Computing)
    assert phase.round == 1
    assert device.working is order
    assert RoundAborted(world.task, 0, AbortReason.RESTARTED) in device.outcomes
    world.work(device)
    assert isinstance(device.participant.phase, Answering)


def test_an_epoch_that_ends_stops_the_work() -> None:
    world, device = computing()
    world.now += 90_000.0
    effects = device.participant.handle(events.Ticked(), world.now)
    assert events.Stop() in effects
    assert RoundAborted(world.task, 0, AbortReason.RESTARTED) in emits(effects)
    assert device.participant.phase == Resting()
    assert device.participant.deadline is None


def tell(number: int = 1, last: bytes = b"") -> TellOrder:
    return TellOrder(number, RoundPlan("toy/1", "tell", b"{}", cycle=number, last_tell=last))


def test_a_tell_is_journalled_learnt_journalled_acknowledged() -> None:
    world = World()
    device = world.devices[0]
    order = tell()
    heard, learn = device.participant.handle(events.Heard(order), world.now)
    assert isinstance(heard, events.Persist)
    assert heard.record.kind is RecordKind.OWNER
    assert learn == events.Learn(1, order.plan)
    assert device.participant.phase == Learning(1, order.plan.payload().hash, "tell")
    learnt, done, outcome = device.participant.handle(events.Learnt(1), world.now)
    assert isinstance(learnt, events.Persist)
    assert learnt.record != heard.record
    assert done == events.Send(TellDone(1))
    assert outcome == events.Emit(TellLearnt(world.task, 1, "tell"))
    assert device.participant.tells_learnt == 1


def test_tells_come_in_order_or_not_at_all() -> None:
    """A repeat, a gap and another chain are answered with how far the device has come."""
    world = World()
    participant = world.devices[0].participant
    assert participant.handle(events.Heard(tell(2)), world.now) == (events.Send(TellDone(0)),)
    first = tell()
    participant.handle(events.Heard(first), world.now)
    participant.handle(events.Learnt(1), world.now)
    said = (events.Send(TellDone(1)),)
    assert participant.handle(events.Heard(first), world.now) == said
    assert participant.handle(events.Heard(tell(3)), world.now) == said
    assert participant.handle(events.Heard(tell(2, b"x" * 32)), world.now) == said
    chained = tell(2, first.plan.payload().hash)
    assert events.Learn(2, chained.plan) in participant.handle(events.Heard(chained), world.now)


def test_a_tell_that_was_heard_has_one_content() -> None:
    """After a crash the Tell comes again; another one under its number is not learnt."""
    world = World()
    device = world.devices[0]
    world.feed(device, events.Heard(tell()))
    world.crash(device)
    other = TellOrder(1, RoundPlan("toy/1", "tell", b"{}", cycle=77))
    effects = device.participant.handle(events.Heard(other), world.now)
    assert effects == (events.Send(TellDone(0)),)
    again = device.participant.handle(events.Heard(tell()), world.now)
    assert again == (events.Learn(1, tell().plan),)  # heard and journalled already


def test_a_learnt_tell_survives_a_crash() -> None:
    world = World()
    device = world.devices[0]
    world.feed(device, events.Heard(tell()))
    world.feed(device, events.Learnt(1))
    world.crash(device)
    assert device.participant.handle(events.Connected(), world.now)[-1] == events.Send(TellDone(1))


def test_a_tell_that_cannot_be_learnt_is_declined_for_good() -> None:
    world = World()
    device = world.devices[0]
    world.feed(device, events.Heard(tell()))
    effects = device.participant.handle(events.LearnFailed(1, "no room"), world.now)
    assert sends(effects) == [Declined(RefusalCode.S6, None)]
    declined = RoundDeclined(world.task, None, RefusalCode.S6, "no room", private=True)
    assert emits(effects) == [declined]
    assert device.participant.tells_learnt == 0


def test_a_tell_needs_the_owners_permit() -> None:
    def never(_plan: RoundPlan) -> None:
        raise UnsafePlan("not here")

    world = World(permits=never)
    effects = world.devices[0].participant.handle(events.Heard(tell()), world.now)
    assert sends(effects) == [Declined(RefusalCode.S5, None)]
    assert world.devices[0].participant.phase == Resting()


def test_a_round_that_opens_while_learning_waits() -> None:
    world, device = computing()
    order = device.working
    assert isinstance(order, events.Compute)
    opening = next(
        m for m in [message for _, message in _openings(world)] if isinstance(m, RoundOpening)
    )
    participant = device.participant
    effects = participant.handle(events.Heard(tell()), world.now)
    assert Declined(RefusalCode.S6, 0) in sends(effects)  # the coordinator has moved on
    assert effects[-1] == events.Learn(1, tell().plan)
    assert participant.handle(events.Heard(opening), world.now) == ()
    assert isinstance(participant.phase, Learning)
    assert participant.phase.held is opening
    effects = participant.handle(events.Learnt(1), world.now)
    assert TellDone(1) in sends(effects)
    assert isinstance(participant.phase, Resting)


def _openings(world: World) -> list[tuple[bytes, object]]:
    """The opening of the running round, as the coordinator sends it to a device that is back."""
    device = world.devices[1]
    world.down.clear()
    world.tell_coordinator(events.Joined(device.id, ("toy/1",)))
    return list(world.down)


def test_an_aborted_round_is_not_opened_late() -> None:
    """What waited for the end of learning is dropped when its round ends first."""
    world = World()
    participant = world.devices[0].participant
    participant.phase = Learning(1, b"h" * 32, "tell", RoundOpening(b"x", tell().plan))
    participant.handle(events.Heard(Sa2(Stage.ROUND_ABORT, b"x")), world.now)
    assert participant.phase == Learning(1, b"h" * 32, "tell")


def test_a_closed_task_stops_everything_and_forgets() -> None:
    world, device = computing()
    effects = device.participant.handle(events.Heard(TaskClosed("failed")), world.now)
    assert effects[0] == events.Stop()
    assert effects[-2:] == (events.Emit(TaskOver(world.task, "failed")), events.Close())
    forgotten = {effect.slot for effect in effects if isinstance(effect, events.Forget)}
    assert forgotten == {"chain", "seed-wrap"}
    assert device.participant.phase == Gone()
    assert device.participant.deadline is None


def test_leaving_a_task_forgets_too() -> None:
    world, device = computing()
    effects = device.participant.handle(events.Abandoned(), world.now)
    assert [e for e in effects if isinstance(e, events.Forget)]
    assert effects[-1] == events.Close()
    assert emits(effects) == []


def test_a_computation_that_nobody_waits_for_is_interrupted_too() -> None:
    world = World()
    participant = world.devices[0].participant
    participant.phase = Resting(Pending(b"h" * 32))
    assert participant.handle(events.Interrupted("on battery"), world.now) == (events.Stop(),)


def test_a_round_that_waited_for_learning_is_declined_when_learning_is_interrupted() -> None:
    """The aggregator hears at once that the device is behind, not at the round's deadline."""
    world = World()
    world.start()
    while not any(isinstance(message, RoundOpening) for _, message in world.down):
        assert world.step_messages()
    to, opening = next(each for each in world.down if isinstance(each[1], RoundOpening))
    participant = world.device(to).participant
    participant.phase = Learning(1, b"h" * 32, "tell")
    after_tell = RoundOpening(opening.start, replace(opening.plan, last_tell=b"h" * 32))
    assert participant.handle(events.Heard(after_tell), world.now) == ()
    effects = participant.handle(events.Interrupted("on battery"), world.now)
    assert effects[0] == events.Stop()
    assert participant.phase == Resting()
    assert sends(effects) == [Declined(RefusalCode.S5, 0), TellDone(0)]
