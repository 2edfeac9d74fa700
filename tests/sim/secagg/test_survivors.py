"""What a device refuses about survivors and results: tests 11 to 14 and 18 to 20 of section 16.

n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8. Device 0 is the one that is lied to. Unless a test
says otherwise, no share may leave any device.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.secagg.events import (
    EndReason,
    EpochOver,
    Received,
    RecordKind,
    Refuse,
    Send,
    Stage,
)
from dreamshare_crypto.secagg.phases import Agreed, Answered, Committed, Done, Idle, Sent
from dreamshare_crypto.secagg.records import SessionRecord
from dreamshare_crypto.secagg.survivor_messages import Survivors
from dreamshare_crypto.secagg.vault import Vault
from tests.sim.secagg.federation import payload_of
from tests.sim.secagg.hostile import PAYLOAD, Hostile, answer, dropped, ready_cohort


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    """A hostile aggregator; the test is over without a share."""
    hostile = ready_cohort()
    yield hostile
    assert hostile.shares_sent() == 0


@pytest.fixture
def generous() -> Hostile:
    """The same, where a share may leave."""
    return ready_cohort()


def refused(hostile: Hostile, shown: Survivors, code: str) -> None:
    client = hostile.cohort.parties[0].client
    before = client.phase
    effects = hostile.give(0, shown)
    assert [(type(e), e.code, e.round) for e in effects] == [(Refuse, code, shown.round)]
    assert client.phase is before


def dropped_survivors(hostile: Hostile, shown: Survivors, code: str) -> None:
    dropped(hostile, Stage.SURVIVORS, shown.encode(), code)


# ---- 11, 18: which set ---------------------------------------------------------------------------


def test_survivors_not_subset(hostile: Hostile) -> None:
    start = hostile.start(active=range(9))
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, range(10)), "U2")


def test_survivors_without_me(hostile: Hostile) -> None:
    start = hostile.start()
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, range(1, 10)), "U2")


@pytest.mark.parametrize(("name", "count"), [("below_umin", 7), ("below_t", 5)])
def test_survivors_below(hostile: Hostile, name: str, count: int) -> None:
    start = hostile.start()
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, range(count)), "U3")


def test_resurrection(hostile: Hostile) -> None:
    """A device that was declared absent cannot survive (18)."""
    start = hostile.start(active=[0, 2, 3, 4, 5, 6, 7, 8, 9])
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, [0, 1, 2, 3, 4, 5, 6, 7]), "U2")


def test_survivors_refused_then_right(hostile: Hostile) -> None:
    """A refused set binds nobody: the right one is agreed to afterwards."""
    start = hostile.start()
    hostile.give_start(0, start)
    refused(hostile, hostile.survivors(start, range(7)), "U3")
    hostile.give(0, hostile.survivors(start, range(8)))
    assert isinstance(hostile.cohort.parties[0].client.phase, Agreed)


# ---- 12, 13, 19: in which round ------------------------------------------------------------------


def test_survivors_before_vector(hostile: Hostile) -> None:
    start = hostile.start()
    party = hostile.cohort.parties[0]
    party.handle(Received(Stage.ROUND_START, start.encode(), PAYLOAD), hostile.cohort.now)
    assert isinstance(party.client.phase, Committed)
    dropped_survivors(hostile, hostile.survivors(start, range(10)), "U1")


def test_survivors_never_started(hostile: Hostile) -> None:
    dropped_survivors(hostile, hostile.survivors(hostile.start(), range(10)), "U1")
    hostile.give_start(0, hostile.start(0))
    later = hostile.start(1, payload=payload_of("never started"))
    dropped_survivors(hostile, hostile.survivors(later, range(10)), "U1")


def test_survivors_other_rctx(hostile: Hostile) -> None:
    start, other = hostile.start(), hostile.start(active=range(9))
    hostile.give_start(0, start)
    dropped_survivors(hostile, hostile.survivors(other, range(9)), "U1")


def test_survivors_bad_signature(hostile: Hostile) -> None:
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(10))
    by_device = shown.sign(hostile.cohort.parties[1].identity.signing)
    dropped_survivors(hostile, by_device, "M2")
    dropped_survivors(hostile, hostile.survivors(start, range(10), session=bytes(32)), "M2")


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_survivors_second_bitmap(generous: Hostile, restarted: bool, answered: bool) -> None:
    hostile, party = generous, generous.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    first, second = hostile.survivors(start, range(9)), hostile.survivors(start, range(10))
    hostile.give(0, first)
    if answered:
        hostile.give(0, hostile.agree_set(first, range(6)))
    if restarted:
        party.restart()
    effects = hostile.give(0, second)
    assert party.refusals() == ["U4"]
    (evidence,) = party.evidence()
    assert (evidence.first, evidence.second) == (first.encode(), second.encode())
    assert EpochOver(EndReason.EVIDENCE) in effects
    assert isinstance(party.client.phase, Idle)
    assert hostile.agreements(0, second) is None
    assert len(set(party.sent(Stage.UNMASK_RESPONSE))) == (1 if answered else 0)


def test_survivors_same_bitmap(hostile: Hostile) -> None:
    """An exact repeat gets the stored signature and no record."""
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    hostile.give(0, shown)
    (agree,), records = party.sent(Stage.AGREE), len(party.journal.records)
    assert hostile.give(0, shown) == (Send(Stage.AGREE, agree),)
    assert len(party.journal.records) == records


def test_late_request_after_next_start(hostile: Hostile) -> None:
    """Survivors of r after RoundStart r + 1: no answer, and r cannot be opened from disk (9.5)."""
    party = hostile.cohort.parties[0]
    first, later = hostile.start(0), payload_of("next")
    hostile.give_start(0, first)
    old_chain = party.journal.slots["chain"]
    hostile.give_start(0, hostile.start(1, payload=later), later)
    dropped_survivors(hostile, hostile.survivors(first, range(10)), "U1")
    sealed = next(
        SessionRecord.decode(record.body).sealed
        for record in party.journal.records
        if record.kind is RecordKind.SESSION
    )
    sid = hostile.session.sid
    assert Vault.restore(sid, sealed, old_chain).open(0).p is not None
    on_disk = Vault.restore(sid, sealed, party.journal.slots["chain"])
    with pytest.raises(ParameterError):
        on_disk.open(0)
    forged = Vault(sid, sealed, 0, on_disk.chain)  # the newest key taken for the first
    with pytest.raises(AuthenticationError):
        forged.open(0)


# ---- 14: revealing needs a quorum ----------------------------------------------------------------


def test_reveal_without_quorum(hostile: Hostile) -> None:
    start = hostile.start()
    for number in range(10):
        hostile.give_start(number, start)
    shown = hostile.survivors(start, range(10))
    for _ in range(100):
        hostile.give(0, shown)
    assert isinstance(hostile.cohort.parties[0].client.phase, Agreed)


# ---- 20: results ---------------------------------------------------------------------------------


def test_result_other_U(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    hostile.give(0, shown)
    other = hostile.result(shown, survivors=frozenset(range(10)))
    hostile.give(0, other)
    assert party.refusals() == ["K1"]
    (evidence,) = party.evidence()
    assert (evidence.first, evidence.second) == (shown.encode(), other.encode())
    assert isinstance(party.client.phase, Idle)


def test_result_other_rctx(hostile: Hostile) -> None:
    start, other = hostile.start(), hostile.start(active=range(9))
    hostile.give_start(0, start)
    hostile.give(0, hostile.result(hostile.survivors(other, range(9))))
    assert hostile.cohort.parties[0].refusals() == ["K1"]


def test_abort_other_rctx(hostile: Hostile) -> None:
    start, other = hostile.start(), hostile.start(active=range(9))
    hostile.give_start(0, start)
    dropped(hostile, Stage.ROUND_ABORT, hostile.abort(other).encode(), "U1")
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


def test_result_closes(generous: Hostile) -> None:
    answer(generous, 0)
    party = generous.cohort.parties[0]
    assert isinstance(party.client.phase, Done)
    assert party.journal.records[-1].kind is RecordKind.CLOSED


def test_abort_closes_and_drops_the_answer(generous: Hostile) -> None:
    """After the round is over, the quorum's request gets nothing any more."""
    hostile = generous
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(10))
    hostile.give(0, shown)
    request = hostile.agree_set(shown, range(6))
    hostile.give(0, request)
    assert isinstance(hostile.cohort.parties[0].client.phase, Answered)
    hostile.give(0, hostile.abort(start))
    dropped(hostile, Stage.AGREE_SET, request.encode(), "U1")
