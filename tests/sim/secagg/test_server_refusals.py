"""What the aggregator refuses of devices: every clause of docs/protocol.md 10.2 under a name.

n = 10, a = 1, t = 6; device 4 misbehaves. Clauses that are tried elsewhere: a second vector,
vectors of a wrong length, shares of P or more and answers for another U_r in
test_hostile_device.py; equal box keys, round keys and commitment lists in test_boxes.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.epoch_messages import Advertise, Ready, Shares
from dreamshare_crypto.secagg.events import KeepEvidence, ServerEffect, Stage, Summed
from dreamshare_crypto.secagg.survivor_messages import Agree, UnmaskResponse
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.liars import Lied

ROUNDS = 2


@pytest.fixture
def cohort() -> Cohort:
    cohort = Cohort(10, make_terms(rounds=ROUNDS))
    cohort.start()
    return cohort


def until(cohort: Cohort, wanted: Stage) -> bytes:
    """Run until device 4's message of this stage arrived, alone of its kind; return it."""
    while True:
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        for place, (number, stage, body) in enumerate(cohort.up):
            if (number, stage) == (4, wanted):
                del cohort.up[place]
                assert not evidence(cohort.arrive(4, wanted, body))
                return body
        number, stage, body = cohort.up.pop(0)
        cohort.arrive(number, stage, body)


def evidence(effects: Iterable[ServerEffect]) -> list[KeepEvidence]:
    return [effect for effect in effects if isinstance(effect, KeepEvidence)]


def refused(cohort: Cohort, stage: Stage, body: bytes, code: RefusalCode) -> None:
    before = cohort.server.counts[code]
    assert cohort.arrive(4, stage, body) == ()
    assert cohort.server.counts[code] == before + 1


def proves(cohort: Cohort, stage: Stage, first: bytes, second: bytes) -> None:
    """The second message is evidence against device 4, and the epoch goes on with the first."""
    (kept,) = evidence(cohort.arrive(4, stage, second))
    assert (kept.device, kept.first, kept.second) == (cohort.parties[4].id, first, second)
    assert not evidence(cohort.arrive(4, stage, first))
    cohort.pump()


def test_advertisement_of_another_offer(cohort: Cohort) -> None:
    signing = cohort.parties[4].identity.signing
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    (body,) = (body for number, _, body in cohort.up if number == 4)
    lie = replace(Advertise.decode(body, ROUNDS), offer_hash=bytes(32)).sign(signing)
    refused(cohort, Stage.ADVERTISE, lie.encode(), RefusalCode.M2)
    cohort.pump()
    assert len(cohort.server.members) == 10


def test_two_advertisements(cohort: Cohort) -> None:
    first = until(cohort, Stage.ADVERTISE)
    other = replace(Advertise.decode(first, ROUNDS), nonce_commitment=bytes(32))
    second = other.sign(cohort.parties[4].identity.signing).encode()
    proves(cohort, Stage.ADVERTISE, first, second)
    assert len(cohort.server.members) == 10


def test_two_dealings(cohort: Cohort) -> None:
    first = until(cohort, Stage.SHARES)
    shares = Shares.decode(first, ROUNDS)
    (holder, box), *rest = shares.boxes
    other = replace(shares, boxes=((holder, box[:-1] + bytes([box[-1] ^ 1])), *rest))
    second = other.sign(cohort.parties[4].identity.signing).encode()
    proves(cohort, Stage.SHARES, first, second)
    assert len(cohort.server.members) == 10
    assert isinstance(cohort.run_round(), Summed)  # the first boxes were handed out


def test_two_readies(cohort: Cohort) -> None:
    first = until(cohort, Stage.READY)
    ready = Ready.decode(first, 10)
    second = replace(ready, good=ready.good - {1}).sign(cohort.parties[4].identity.signing)
    proves(cohort, Stage.READY, first, second.encode())
    assert len(cohort.server.members) == 10


def test_two_agreements(cohort: Cohort) -> None:
    """An Agree names no U_r: one for another set is a signature that does not hold (17.18)."""
    cohort.pump()
    cohort.open()
    first = until(cohort, Stage.AGREE)
    start = cohort.server._course.stage.round  # type: ignore[union-attr]
    agree = Agree.decode(first, start.context, 10, frozenset(range(10)))
    other = replace(agree, survivors=frozenset(range(9)))
    second = other.sign(cohort.parties[4].identity.signing).encode()
    refused(cohort, Stage.AGREE, second, RefusalCode.M2)
    cohort.pump()
    assert isinstance(cohort.outcome(), Summed)


def test_two_answers(cohort: Cohort) -> None:
    cohort.pump()
    lied = Lied(cohort)
    first = lied.bodies[4]
    lied.lie(4)
    assert lied.deliver(0, 1, 2) is None
    assert not evidence(cohort.arrive(4, Stage.UNMASK_RESPONSE, first))
    proves(cohort, Stage.UNMASK_RESPONSE, first, lied.bodies[4])
    lied.bodies[4] = first
    assert isinstance(lied.deliver(), Summed)


def test_share_for_a_bad_box(cohort: Cohort) -> None:
    """Device 4 called dealer 1's box bad, and answers for dealer 1 all the same.

    The dealer stays: eight others hold good boxes, and min(6 + 1, 9) = 7 are needed (6.7).
    """
    while not any(stage is Stage.READY for _, stage, _ in cohort.up):
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        moving, cohort.up = cohort.up, []
        for message in moving:
            cohort.arrive(*message)
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
    for number, stage, body in cohort.up:
        ready = Ready.decode(body, 10)
        if number == 4:
            claimed = replace(ready, good=ready.good - {1})
            body = claimed.sign(cohort.parties[4].identity.signing).encode()
        cohort.arrive(number, stage, body)
    cohort.up.clear()
    assert len(cohort.server.members) == 10
    lied = Lied(cohort)
    refused(cohort, Stage.UNMASK_RESPONSE, lied.bodies[4], RefusalCode.D1)
    response = UnmaskResponse.decode(lied.bodies[4], 10)
    honest = replace(
        response,
        have=response.have - {1},
        shares=tuple(s for place, s in enumerate(response.shares) if place != 1),
    )
    lied.resign(4, honest)
    assert isinstance(lied.deliver(), Summed)


def test_a_second_answer_changes_no_share(cohort: Cohort) -> None:
    """The first answer counts, also where it is the wrong one: device 4 alone is marked for it."""
    cohort.pump()
    lied = Lied(cohort)
    honest = lied.bodies[4]
    lied.lie(4, [2])
    assert lied.deliver(4) is None
    assert evidence(cohort.arrive(4, Stage.UNMASK_RESPONSE, honest))
    assert isinstance(lied.deliver(*(i for i in range(10) if i != 4)), Summed)
    found = cohort.server._course.cohort
    assert found is not None
    assert found.blame.marks(4) == {2}
