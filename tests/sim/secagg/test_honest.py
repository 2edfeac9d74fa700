"""Honest parties: sums, dropouts at every stage, membership, and how an epoch ends."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare_crypto.errors import IllegalInputError, ParameterError
from dreamshare_crypto.secagg.events import (
    Abandoned,
    AbortReason,
    Cancelled,
    EndReason,
    EpochOver,
    Left,
    Opened,
    Persist,
    RecordKind,
    Returned,
    RoundAbandoned,
    RoundClosed,
    Send,
    SessionReady,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.phases import Done, Idle
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.federation import make_params, make_terms, payload_of
from tests.sim.secagg.harness import Cohort


def loses(*lost: tuple[int, Stage]):
    """Return a filter that loses these messages of these devices."""
    return lambda number, stage: (number, stage) not in lost


@pytest.fixture(params=tuple(Suite), ids=lambda suite: suite.name.lower())
def cohort(request: pytest.FixtureRequest) -> Cohort:
    """Five devices, a = 1, t = q = 4, A_min = u_min = 4: one may drop out of a round."""
    cohort = Cohort(5, make_terms(suite=request.param))
    cohort.set_up()
    return cohort


def check_sum(cohort: Cohort, ended: object, members: list[int]) -> None:
    assert isinstance(ended, Summed)
    assert ended.survivors == tuple(cohort.parties[i].id for i in members)
    truth = cohort.expected_sum(ended.round, members)
    np.testing.assert_allclose(ended.sums[0], truth, atol=1e-9)
    assert ended.weight_sum == len(members)


def test_everybody(cohort: Cohort) -> None:
    (ready,) = [e for e in cohort.server_effects if isinstance(e, SessionReady)]
    assert ready.members == tuple(party.id for party in cohort.parties)
    check_sum(cohort, cohort.run_round(), [0, 1, 2, 3, 4])
    for party in cohort.parties:
        assert isinstance(party.client.phase, Done)
        assert party.effects[-1] == RoundClosed(0, None, included=True)
        assert party.client.counts == {}
        assert party.client.session == cohort.server.session


def test_several_fields_and_weights() -> None:
    """Two fields of different sizes and the weights come back exactly (12.3)."""
    cohort = Cohort(3, make_terms(dims=(7, 300)))
    cohort.set_up()
    ended = cohort.run_round()
    assert isinstance(ended, Summed)
    for place in (0, 1):
        truth = sum(party.vectors[0][place] for party in cohort.parties)
        np.testing.assert_allclose(ended.sums[place], truth, atol=1e-9)


def test_rounds_follow_each_other(cohort: Cohort) -> None:
    for round_ in range(4):
        assert cohort.server.rounds_left == 4 - round_
        check_sum(cohort, cohort.run_round(), [0, 1, 2, 3, 4])
    assert cohort.over() == EpochOver(EndReason.EXHAUSTED)
    assert cohort.server.phase is ServerPhase.ENDED
    with pytest.raises(IllegalInputError):
        cohort.open()


# ---- dropouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [Stage.ROUND_START, Stage.MASKED_INPUT])
def test_drop_before_vector(cohort: Cohort, stage: Stage) -> None:
    check_sum(cohort, cohort.run_round(loses((2, stage))), [0, 1, 3, 4])


@pytest.mark.parametrize(
    "stage", [Stage.SURVIVORS, Stage.AGREE, Stage.AGREE_SET, Stage.UNMASK_RESPONSE]
)
def test_drop_after_vector(cohort: Cohort, stage: Stage) -> None:
    """The vector is in the sum; four of five are enough to agree and to unmask."""
    check_sum(cohort, cohort.run_round(loses((2, stage))), [0, 1, 2, 3, 4])


def test_drop_two_gives_nothing(cohort: Cohort) -> None:
    ended = cohort.run_round(loses((1, Stage.MASKED_INPUT), (2, Stage.MASKED_INPUT)))
    assert ended == RoundAbandoned(0, AbortReason.TOO_FEW_INPUTS, answered=False)
    assert cohort.parties[0].effects[-1] == RoundClosed(0, AbortReason.TOO_FEW_INPUTS)


def test_drop_of_quorum(cohort: Cohort) -> None:
    ended = cohort.run_round(loses((1, Stage.AGREE), (2, Stage.AGREE)))
    assert ended == RoundAbandoned(0, AbortReason.NO_QUORUM, answered=False)


def test_starving_request_is_sent_three_times_more(cohort: Cohort) -> None:
    """Two answers are lost every time: the same bytes go out four times, then the round ends."""
    lost = loses((1, Stage.UNMASK_RESPONSE), (2, Stage.UNMASK_RESPONSE))
    ended = cohort.run_round(lost)
    assert ended == RoundAbandoned(0, AbortReason.TOO_FEW_ANSWERS, answered=True)
    assert len(cohort.parties[1].sent(Stage.UNMASK_RESPONSE)) == 4
    assert len(set(cohort.parties[1].sent(Stage.UNMASK_RESPONSE))) == 1
    assert len(cohort.parties[0].sent(Stage.UNMASK_RESPONSE)) == 1  # it had answered


def test_lost_answer_arrives_at_the_second_asking(cohort: Cohort) -> None:
    lost = [(1, Stage.UNMASK_RESPONSE), (2, Stage.UNMASK_RESPONSE)]

    def keeps(number: int, stage: Stage) -> bool:
        if (number, stage) in lost:
            lost.remove((number, stage))
            return False
        return True

    check_sum(cohort, cohort.run_round(keeps), [0, 1, 2, 3, 4])


def test_left_devices_are_not_waited_for(cohort: Cohort) -> None:
    """Without the deadline: everybody has sent or left."""
    cohort.open()
    now = cohort.now
    cohort.pump(loses((2, Stage.MASKED_INPUT)))
    assert cohort.server.phase is ServerPhase.COLLECTING
    cohort.serve(Left(cohort.parties[2].id))
    cohort.pump()
    check_sum(cohort, cohort.outcome(), [0, 1, 3, 4])
    assert cohort.now == now


def test_leaving_ends_a_hopeless_wait(cohort: Cohort) -> None:
    cohort.open()
    cohort.pump(lambda number, stage: stage is not Stage.AGREE)
    assert cohort.server.phase is ServerPhase.AGREEING
    cohort.serve(Left(cohort.parties[0].id))
    cohort.serve(Left(cohort.parties[1].id))
    assert cohort.outcome() == RoundAbandoned(0, AbortReason.NO_QUORUM, answered=False)


def test_drop_during_set_up() -> None:
    """n = 10: 6.7 wants min(t + ceil(0.1 t), n - 1) = 7 other Ready holders; two may be missing."""
    cohort = Cohort(10)
    cohort.set_up(loses((3, Stage.SHARES), (4, Stage.READY)))
    assert len(cohort.server.members) == 8
    assert cohort.parties[3].id not in cohort.server.members
    ended = cohort.run_round()
    check_sum(cohort, ended, [0, 1, 2, 5, 6, 7, 8, 9])


def test_drop_before_roster() -> None:
    """Whoever does not advertise is not in the roster at all."""
    cohort = Cohort(5)
    cohort.set_up(loses((0, Stage.OFFER)))
    assert len(cohort.server.members) == 4
    assert isinstance(cohort.parties[0].client.phase, Idle)
    check_sum(cohort, cohort.run_round(), [1, 2, 3, 4])


def test_set_up_with_too_few() -> None:
    cohort = Cohort(4)
    cohort.set_up(loses((0, Stage.OFFER), (1, Stage.ADVERTISE)))
    assert cohort.over() == EpochOver(EndReason.TOO_FEW)


def test_set_up_needs_every_box_of_a_small_cohort() -> None:
    """n = 4, t = 3: a dealer needs 3 other Ready holders, so one absent one ends the epoch."""
    cohort = Cohort(4)
    cohort.set_up(loses((0, Stage.READY)))
    assert cohort.over() == EpochOver(EndReason.TOO_FEW)


# ---- membership ----------------------------------------------------------------------------------


def test_two_misses_leave_the_epoch(cohort: Cohort) -> None:
    """13.1: missed twice, out for good; coming back changes nothing."""
    without_2 = loses((2, Stage.MASKED_INPUT))
    cohort.run_round(without_2)
    assert len(cohort.server.members) == 5
    cohort.run_round(without_2)
    assert len(cohort.server.members) == 4
    cohort.serve(Returned(cohort.parties[2].id))
    check_sum(cohort, cohort.run_round(), [0, 1, 3, 4])
    assert len(cohort.parties[2].sent(Stage.MASKED_INPUT)) == 2


def test_epoch_ends_when_too_few_are_left(cohort: Cohort) -> None:
    """A_min = 4: with two devices out no round can follow."""
    for number in (1, 2):
        for _ in range(2):
            if cohort.over() is None:
                cohort.run_round(loses((number, Stage.MASKED_INPUT)))
    assert cohort.over() == EpochOver(EndReason.TOO_FEW)


def test_returned_device_gets_what_it_owes(cohort: Cohort) -> None:
    cohort.open()
    cohort.pump(loses((2, Stage.ROUND_START)))
    cohort.serve(Returned(cohort.parties[2].id))
    assert [(n, s) for n, s, _ in cohort.down] == [(2, Stage.ROUND_START)]
    cohort.pump()
    check_sum(cohort, cohort.outcome(), [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    "lost", [Stage.ADVERTISE, Stage.ROSTER, Stage.SHARES, Stage.DELIVER, Stage.READY]
)
def test_returned_device_in_set_up(lost: Stage) -> None:
    """A device that dies in any stage of the set-up comes back and goes on from its journal."""
    cohort = Cohort(4)
    cohort.start()
    cohort.pump(
        loses((1, lost), (1, Stage.PEER_KEYS)) if lost is Stage.ROSTER else loses((1, lost))
    )
    cohort.parties[1].restart()
    cohort.serve(Returned(cohort.parties[1].id))
    cohort.pump()
    assert len(cohort.server.members) == 4
    check_sum(cohort, cohort.run_round(), [0, 1, 2, 3])


def test_cancelled_round(cohort: Cohort) -> None:
    cohort.open()
    cohort.pump(lambda number, stage: stage is not Stage.MASKED_INPUT)
    cohort.serve(Cancelled())
    assert cohort.outcome() == RoundAbandoned(0, AbortReason.CANCELLED, answered=False)
    cohort.pump()
    check_sum(cohort, cohort.run_round(), [0, 1, 2, 3, 4])


def test_cancelled_between_rounds(cohort: Cohort) -> None:
    assert cohort.serve(Cancelled()) == ()


# ---- time and the end ----------------------------------------------------------------------------


def test_epoch_expires_at_both_ends(cohort: Cohort) -> None:
    party = cohort.parties[0]
    assert party.client.deadline == cohort.server.deadline == cohort.now + 86_400
    cohort.now += 86_400
    assert cohort.serve(Ticked())[-1] == EpochOver(EndReason.EXPIRED)
    effects = party.handle(Ticked(), cohort.now)
    assert EpochOver(EndReason.EXPIRED) in effects
    assert "chain" not in party.journal.slots
    assert isinstance(party.client.phase, Idle)
    assert party.client.deadline is None


def test_expiry_gives_the_open_round_up(cohort: Cohort) -> None:
    cohort.open()
    cohort.now += 86_400
    cohort.serve(Left(cohort.parties[0].id))
    assert cohort.outcome() == RoundAbandoned(0, AbortReason.CANCELLED, answered=False)
    assert cohort.over() == EpochOver(EndReason.EXPIRED)


def test_owner_closes(cohort: Cohort) -> None:
    assert cohort.serve(Abandoned())[-1] == EpochOver(EndReason.CLOSED)
    party = cohort.parties[0]
    assert party.handle(Abandoned(), cohort.now)[-1] == EpochOver(EndReason.CLOSED)
    assert party.handle(Abandoned(), cohort.now) == ()


def test_survivors_are_durable_before_they_leave(cohort: Cohort) -> None:
    """63: FIXED(U_r) comes before Survivors, in one answer, and never changes."""
    cohort.run_round()
    kinds = [
        effect.record.kind if isinstance(effect, Persist) else effect.stage
        for effect in cohort.server_effects
        if isinstance(effect, Persist | Send)
    ]
    assert kinds.index(RecordKind.SERVER_FIXED) < kinds.index(Stage.SURVIVORS)
    assert kinds.index(RecordKind.SERVER_ROUND) < kinds.index(Stage.ROUND_START)
    assert kinds.index(RecordKind.SERVER_DONE) < kinds.index(Stage.ROUND_RESULT)
    assert kinds.count(RecordKind.SERVER_FIXED) == 1


def test_opening_what_no_device_would_accept(cohort: Cohort) -> None:
    payload = payload_of("x").hash
    for event in (
        Opened(payload, make_params((6,)), 60.0, 20.0),
        Opened(payload, make_params(clip=2.0), 60.0, 20.0),
        Opened(payload, make_params(), 121.0, 20.0),
        Opened(payload, make_params(), 60.0, 31.0),
        Opened(payload, make_params(), 0.0, 20.0),
    ):
        with pytest.raises(ParameterError):
            cohort.serve(event)
    assert cohort.server.phase is ServerPhase.READY
    assert cohort.server.rounds_left == 4


def test_inputs_out_of_place() -> None:
    cohort = Cohort(3)
    with pytest.raises(IllegalInputError):
        cohort.serve(Cancelled())
    cohort.start()
    with pytest.raises(IllegalInputError):
        cohort.start()
    with pytest.raises(IllegalInputError):
        cohort.open()
