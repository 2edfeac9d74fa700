"""Bounded mode (docs/protocol.md 7.5): honest rounds, and what a device refuses about survivors.

n = 10, a = 1, t = 6, A_min = 9, d = 1, u_min = E = 8. A device answers the survivors at once, so
what it is shown first is what it stands by. Numbers in the names are those of section 16.
"""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import (
    AbortReason,
    EndReason,
    EpochOver,
    Persist,
    Received,
    RecordKind,
    Refuse,
    RoundAbandoned,
    Send,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.phases import Answered, Committed, Done, Idle, Sent
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.secagg.survivor_messages import Survivors
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.federation import bounded_terms, payload_of
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile, dropped, ready_cohort

# ---- honest --------------------------------------------------------------------------------------


@pytest.fixture(params=tuple(Suite), ids=lambda suite: suite.name.lower())
def cohort(request: pytest.FixtureRequest) -> Cohort:
    cohort = Cohort(10, bounded_terms(suite=request.param))
    cohort.set_up()
    return cohort


def loses(*lost: tuple[int, Stage]):
    """Return a filter that loses these messages of these devices."""
    return lambda number, stage: (number, stage) not in lost


def check_sum(cohort: Cohort, ended: object, members: list[int]) -> None:
    assert isinstance(ended, Summed)
    assert ended.survivors == tuple(cohort.parties[i].id for i in members)
    truth = cohort.expected_sum(ended.round, members)
    np.testing.assert_allclose(ended.sums[0], truth, atol=1e-9)


def test_rounds_without_agreeing(cohort: Cohort) -> None:
    """No device signs survivors, none is sent a quorum, and there is no AGREE record."""
    for _ in range(2):
        check_sum(cohort, cohort.run_round(), list(range(10)))
    sent = {effect.stage for effect in cohort.server_effects if isinstance(effect, Send)}
    assert Stage.SURVIVORS in sent
    assert Stage.AGREE_SET not in sent
    for party in cohort.parties:
        assert isinstance(party.client.phase, Done)
        assert party.sent(Stage.AGREE) == []
        assert RecordKind.AGREE not in [record.kind for record in party.journal.records]
        assert party.client.counts == {}


@pytest.mark.parametrize("stage", [Stage.ROUND_START, Stage.MASKED_INPUT])
def test_drop_before_vector(cohort: Cohort, stage: Stage) -> None:
    check_sum(cohort, cohort.run_round(loses((2, stage))), [0, 1, 3, 4, 5, 6, 7, 8, 9])


@pytest.mark.parametrize("stage", [Stage.SURVIVORS, Stage.UNMASK_RESPONSE])
def test_drop_after_vector(cohort: Cohort, stage: Stage) -> None:
    """Six answers open everything: four devices may be silent after their vector."""
    lost = loses(*((number, stage) for number in (1, 2, 3, 4)))
    check_sum(cohort, cohort.run_round(lost), list(range(10)))


def test_two_dropouts_give_nothing(cohort: Cohort) -> None:
    """d = 1: with ten active, nine vectors are needed although u_min is 8; nobody is asked."""
    ended = cohort.run_round(loses((1, Stage.MASKED_INPUT), (2, Stage.MASKED_INPUT)))
    assert ended == RoundAbandoned(0, AbortReason.TOO_FEW_INPUTS, answered=False)
    assert not any(party.sent(Stage.UNMASK_RESPONSE) for party in cohort.parties)


def test_starving_request_is_sent_again(cohort: Cohort) -> None:
    lost = [(number, Stage.UNMASK_RESPONSE) for number in range(5)]

    def keeps(number: int, stage: Stage) -> bool:
        if (number, stage) in lost:
            lost.remove((number, stage))
            return False
        return True

    check_sum(cohort, cohort.run_round(keeps), list(range(10)))
    assert len(set(cohort.parties[0].sent(Stage.UNMASK_RESPONSE))) == 1


def test_abandoned_after_answers_says_so(cohort: Cohort) -> None:
    """7.1: the coordinator asks again with another draw, because answers were given."""
    lost = loses(*((number, Stage.UNMASK_RESPONSE) for number in range(5)))
    ended = cohort.run_round(lost)
    assert ended == RoundAbandoned(0, AbortReason.TOO_FEW_ANSWERS, answered=True)


def test_survivors_are_durable_before_they_leave(cohort: Cohort) -> None:
    """63: FIXED(U_r) comes before Survivors, in one answer."""
    cohort.open()
    cohort.pump(lambda number, stage: stage is not Stage.SURVIVORS)
    assert cohort.server.phase is ServerPhase.UNMASKING
    kinds = [
        effect.record.kind if isinstance(effect, Persist) else effect.stage
        for effect in cohort.server_effects
        if isinstance(effect, Persist | Send)
    ]
    assert kinds.index(RecordKind.SERVER_FIXED) < kinds.index(Stage.SURVIVORS)


# ---- 11, 12, 14, 18, B1 --------------------------------------------------------------------------


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort(10, bounded_terms())


def refused(hostile: Hostile, shown: Survivors, code: str) -> None:
    """Show device 0 these survivors and insist on the refusal, and that no share leaves."""
    client = hostile.cohort.parties[0].client
    before = client.phase
    effects = hostile.give(0, shown)
    assert [(type(e), e.code, e.round) for e in effects] == [(Refuse, code, shown.round)]
    assert client.phase is before
    assert hostile.shares_sent() == 0


@pytest.mark.parametrize(
    ("name", "active", "survivors", "code"),
    [
        ("survivors_not_subset", range(9), range(10), "U2"),
        ("survivors_without_me", range(10), range(1, 10), "U2"),
        ("resurrection", [0, *range(2, 10)], range(9), "U2"),
        ("survivors_below_umin", range(10), range(7), "U3"),
        ("survivors_below_umin_of_nine", range(9), range(7), "U3"),
        ("survivors_below_t", range(10), range(5), "U3"),
        ("survivors_drop_two", range(10), range(8), "B1"),
    ],
)
def test_survivors_refused(
    hostile: Hostile, name: str, active: list[int], survivors: list[int], code: str
) -> None:
    start = hostile.start(active=active)
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, survivors), code)


def test_bounded_not_allowed_any_more() -> None:
    """B1: the operator took bounded mode out of the floor while an epoch was running."""
    hostile = ready_cohort(10, bounded_terms())
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    party.floor = Floor(modes=(Mode.AGREED,))
    party.restart()
    hostile.cohort.tell(0, Ticked())  # the vector once more
    refused(hostile, hostile.survivors(start, range(10)), "B1")


def test_a_refused_set_binds_nobody(hostile: Hostile) -> None:
    start = hostile.start()
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, range(8)), "B1")
    hostile.give(0, hostile.survivors(start, range(9)))
    assert isinstance(hostile.cohort.parties[0].client.phase, Answered)


def test_survivors_before_vector(hostile: Hostile) -> None:
    start = hostile.start()
    party = hostile.cohort.parties[0]
    party.handle(Received(Stage.ROUND_START, start.encode(), PAYLOAD), hostile.cohort.now)
    assert isinstance(party.client.phase, Committed)
    shown = hostile.survivors(start, range(10))
    dropped(hostile, Stage.SURVIVORS, shown.encode(), "U1")


def test_survivors_never_started_or_other_rctx(hostile: Hostile) -> None:
    start, other = hostile.start(), hostile.start(active=range(9))
    dropped(hostile, Stage.SURVIVORS, hostile.survivors(start, range(10)).encode(), "U1")
    hostile.give_start(0, start)
    dropped(hostile, Stage.SURVIVORS, hostile.survivors(other, range(9)).encode(), "U1")


@pytest.mark.parametrize("answered", [False, True])
def test_quorums_have_no_place(hostile: Hostile, answered: bool) -> None:
    """14: signatures open nothing here, before the answer and after it."""
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    if answered:
        hostile.give(0, shown)
    request = hostile.agree_set(shown, range(6))
    dropped(hostile, Stage.AGREE_SET, request.encode(), "U1")
    assert hostile.shares_sent() == answered


# ---- 13, 20, restarts ----------------------------------------------------------------------------


def test_exact_repeat_gets_the_stored_reply(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    hostile.give(0, shown)
    (response,), records = party.sent(Stage.UNMASK_RESPONSE), len(party.journal.records)
    assert hostile.give(0, shown) == (Send(Stage.UNMASK_RESPONSE, response),)
    party.restart()
    hostile.give(0, shown)
    assert set(party.sent(Stage.UNMASK_RESPONSE)) == {response}
    assert len(party.journal.records) == records


@pytest.mark.parametrize("restarted", [False, True])
def test_survivors_second_bitmap(hostile: Hostile, restarted: bool) -> None:
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    first, second = hostile.survivors(start, range(9)), hostile.survivors(start, range(10))
    hostile.give(0, first)
    if restarted:
        party.restart()
    effects = hostile.give(0, second)
    assert party.refusals() == ["U4"]
    (evidence,) = party.evidence()
    assert (evidence.first, evidence.second) == (first.encode(), second.encode())
    assert EpochOver(EndReason.EVIDENCE) in effects
    assert isinstance(party.client.phase, Idle)
    assert len(set(party.sent(Stage.UNMASK_RESPONSE))) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_result_other_U(hostile: Hostile, restarted: bool) -> None:
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    hostile.give(0, shown)
    if restarted:
        party.restart()
    hostile.give(0, hostile.result(shown, survivors=frozenset(range(10))))
    assert party.refusals() == ["K1"]
    assert isinstance(party.client.phase, Idle)


def test_torn_answer(hostile: Hostile) -> None:
    """Without its ANSWER record nothing was said, and the chain that moved keeps the round shut."""
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    chain = party.journal.slots["chain"]
    hostile.give(0, hostile.survivors(start, range(9)))
    party.restart()
    assert isinstance(party.client.phase, Answered)
    assert party.journal.records.pop().kind is RecordKind.ANSWER
    party.restart()
    assert isinstance(party.client.phase, Done)
    party.journal.slots["chain"] = chain  # the record goes first: so a crash leaves it (9.1)
    party.restart()
    assert isinstance(party.client.phase, Sent)


def test_payload_is_answered_once(hostile: Hostile) -> None:
    """13.3 holds as in agreed mode."""
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(10))
    hostile.give(0, shown)
    hostile.give(0, hostile.result(shown))
    hostile.give_start(0, hostile.start(1))
    assert hostile.cohort.parties[0].refusals() == ["S7"]


@pytest.mark.parametrize("changes", [{"d": 0}, {"d": 2}, {"u_min": 7}, {"mode": Mode.AGREED}])
def test_parameters_are_those_of_the_session(hostile: Hostile, changes: dict[str, int]) -> None:
    """S5: the mode and d of 12.1 are the session's own."""
    start = hostile.start(params=hostile.params(**changes))
    hostile.give_start(0, start)
    assert hostile.cohort.parties[0].refusals() == ["S5"]


@pytest.mark.parametrize("first", range(1, 9))
def test_partition_overlap(first: int) -> None:
    """27: two active sets of A_min, two payloads, device 9 colludes: at most one sum opens.

    Devices 0..first-1 take the first context and the other honest ones the second; a context opens
    where its answers and the colluder's shares are t = 6.
    """
    hostile = ready_cohort(10, bounded_terms())
    payloads = (payload_of("one"), payload_of("two"))
    active = (hostile.everyone - {8}, hostile.everyone - {0})
    honest = ([i for i in range(first) if i != 8], [i for i in range(first, 9) if i != 0])
    opened = 0
    for a, payload, members in zip(active, payloads, honest, strict=True):
        start = hostile.start(active=a, payload=payload)
        shown = hostile.survivors(start, a)
        before = hostile.shares_sent()
        for number in members:
            hostile.give_start(number, start, payload)
            hostile.give(number, shown)
        opened += hostile.shares_sent() - before + 1 >= hostile.session.derived.t
    assert opened <= 1
