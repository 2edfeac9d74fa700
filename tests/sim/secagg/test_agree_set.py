"""What a device takes for a quorum: tests 15 to 17 and 24 of docs/protocol.md section 16.

n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8. Colluders sign what the aggregator likes; the test
signs in their names with their own keys.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.keys import IdentityKey
from dreamshare_crypto.secagg.events import Refuse, Send, Stage
from dreamshare_crypto.secagg.phases import Agreed, Answered
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import AgreeSet, Survivors, UnmaskResponse
from dreamshare_crypto.transcript import encode_bitmap
from tests.sim.secagg.federation import payload_of
from tests.sim.secagg.hostile import Hostile, dropped, ready_cohort


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


@pytest.fixture
def start(hostile: Hostile) -> RoundStart:
    return hostile.start()


@pytest.fixture
def shown(hostile: Hostile, start: RoundStart) -> Survivors:
    """The survivors that device 0 agreed to: all but device 9."""
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(9))
    hostile.give(0, shown)
    return shown


def refused(hostile: Hostile, agree_set: AgreeSet, code: str = "Q1") -> None:
    client = hostile.cohort.parties[0].client
    before = client.phase
    assert isinstance(before, Agreed)
    effects = hostile.give(0, agree_set)
    assert [(type(e), e.code, e.round) for e in effects] == [(Refuse, code, 0)]
    assert client.phase is before
    assert hostile.shares_sent() == 0


def test_agree_six(hostile: Hostile, shown: Survivors) -> None:
    """The right quorum is answered, once, and again with the same bytes."""
    agree_set = hostile.agree_set(shown, range(1, 7))
    hostile.give(0, agree_set)
    party = hostile.cohort.parties[0]
    assert isinstance(party.client.phase, Answered)
    (response,) = party.sent(Stage.UNMASK_RESPONSE)
    assert hostile.give(0, agree_set) == (Send(Stage.UNMASK_RESPONSE, response),)
    assert len(UnmaskResponse.decode(response, 10).shares) == 10


# ---- 15 ------------------------------------------------------------------------------------------


def test_agree_five_of_six(hostile: Hostile, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(shown, range(5)))


def test_agree_repeated_signer(hostile: Hostile, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(shown, [0, 1, 2, 3, 4, 4]))


def test_agree_stranger(hostile: Hostile, shown: Survivors) -> None:
    """A signature by a key that is in nobody's roster entry, and an index outside the roster."""
    agree_set = hostile.agree_set(shown, range(6))
    stranger = IdentityKey.generate(hostile.cohort.federation.entropy)
    forged = hostile.agree_set(shown, range(5)).signatures
    signature = stranger.sign("sa2/v1/agree", shown.statement())
    refused(hostile, replace(agree_set, signatures=(*forged, (5, signature))))
    refused(hostile, replace(agree_set, signatures=(*forged, (10, signature))))
    refused(hostile, replace(agree_set, signatures=(*forged, (2**32 - 1, signature))))


def test_agree_signer_outside_U(hostile: Hostile, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(shown, [0, 1, 2, 3, 4, 9]))


def test_agree_unsorted(hostile: Hostile, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(shown, [0, 1, 2, 3, 5, 4]))


def test_agree_seven(hostile: Hostile, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(shown, range(7)))


def test_agree_one_bad_signature(hostile: Hostile, shown: Survivors) -> None:
    signatures = list(hostile.agree_set(shown, range(6)).signatures)
    signatures[3] = (3, signatures[2][1])
    refused(hostile, AgreeSet(shown.session, 0, tuple(signatures)))


# ---- 16: valid signatures under something else ---------------------------------------------------


def test_agree_for_other_U(hostile: Hostile, start: RoundStart, shown: Survivors) -> None:
    refused(hostile, hostile.agree_set(hostile.survivors(start, range(8)), range(6)))


def test_agree_for_other_rctx(hostile: Hostile, shown: Survivors) -> None:
    other = hostile.survivors(hostile.start(active=range(9)), range(9))
    refused(hostile, hostile.agree_set(other, range(6)))


def test_agree_of_last_round(hostile: Hostile, shown: Survivors) -> None:
    """A quorum of round 0, in round 1: dropped as it is, refused when it claims round 1."""
    old = hostile.agree_set(shown, range(6))
    payload = payload_of("round 1")
    start = hostile.start(1, payload=payload)
    hostile.give_start(0, start, payload)
    hostile.give(0, hostile.survivors(start, range(9)))
    dropped(hostile, Stage.AGREE_SET, old.encode(), "U1")
    effects = hostile.give(0, replace(old, round=1))
    assert [effect.code for effect in effects] == ["Q1"]
    assert hostile.shares_sent() == 0


def test_agree_of_other_session(hostile: Hostile, shown: Survivors) -> None:
    elsewhere = replace(shown, session=bytes(32))
    dropped(hostile, Stage.AGREE_SET, hostile.agree_set(elsewhere, range(6)).encode(), "M2")
    refused(hostile, replace(hostile.agree_set(elsewhere, range(6)), session=shown.session))


def test_agree_set_before_survivors(hostile: Hostile, start: RoundStart) -> None:
    hostile.give_start(0, start)
    agree_set = hostile.agree_set(hostile.survivors(start, range(9)), range(6))
    dropped(hostile, Stage.AGREE_SET, agree_set.encode(), "U1")


# ---- 17 ------------------------------------------------------------------------------------------


def test_both_kinds(hostile: Hostile, start: RoundStart, shown: Survivors) -> None:
    """No message carries two bitmaps: a second one is a trailing field (M1)."""
    second = encode_bitmap(range(1, 10), 10)
    for message in (shown.statement() + second, shown.statement() + second + shown.signature):
        dropped(hostile, Stage.SURVIVORS, message, "M1")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=160))
def test_both_kinds_fuzz(raw: bytes) -> None:
    """Whatever the bytes, a request names at most one set of survivors."""
    for decode in (lambda: Survivors.decode(raw, 10), lambda: AgreeSet.decode(raw)):
        try:
            message = decode()
        except MalformedError:
            continue
        sets = [v for v in (getattr(message, "survivors", None),) if v is not None]
        assert len(sets) <= 1
        assert message.encode() == raw


# ---- 24 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(1, 9))
def test_two_quorums(hostile: Hostile, first: int) -> None:
    """Device 9 colludes and signs both sets; honest devices sign one each: one quorum at most.

    `first` honest devices are shown all ten as survivors, the others all but device 0. With the
    colluder's signature each quorum takes 5 honest ones, and 5 + 5 > 9.
    """
    start = hostile.start()
    one, two = hostile.survivors(start, range(10)), hostile.survivors(start, range(1, 10))
    for number in range(9):
        hostile.give_start(number, start)
        hostile.give(number, one if number < first else two)
    quorums = 0
    for shown in (one, two):
        honest = [i for i in range(9) if hostile.agreements(i, shown) is not None]
        signers = [*honest, 9][-6:]
        quorums += len(signers) == 6
        for number in honest:
            hostile.give(number, hostile.agree_set(shown, signers))
    answers = {
        UnmaskResponse.decode(body, 10).survivors_hash
        for party in hostile.cohort.parties
        for body in party.sent(Stage.UNMASK_RESPONSE)
    }
    assert len(answers) == quorums <= 1
