"""What the aggregator makes of hostile devices: tests 51 to 55 of section 16.

n = 5, a = 1, t = q = 4. Device 4 misbehaves. What bad shares lead to is in test_blame.py; here five
answers are too few to attribute anything (t + 2a = 6).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.encoding import words_from_bytes, words_to_bytes
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.keys import verify_signature
from dreamshare_crypto.secagg.epoch_messages import Ready, Shares
from dreamshare_crypto.secagg.events import (
    AbortReason,
    Faulty,
    KeepEvidence,
    Left,
    RoundAbandoned,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.round_messages import InputReceipt, MaskedInput
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.secagg.survivor_messages import UnmaskResponse
from dreamshare_crypto.shamir import P
from tests.sim.secagg.harness import Cohort

SILENT = (3, Stage.MASKED_INPUT)
WORDS = 3  # five 16-bit coordinates over 16 devices make two words, and one for the weight


@pytest.fixture
def cohort() -> Cohort:
    cohort = Cohort(5)
    cohort.set_up()
    return cohort


def until(cohort: Cohort, stage: Stage) -> dict[int, bytes]:
    """Run a round until every device has made its message of `stage`; return them, undelivered."""
    if cohort.server.phase is ServerPhase.READY:
        cohort.open()
    made: dict[int, bytes] = {}
    while not made or cohort.down:
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        made |= {number: body for number, s, body in cohort.up if s is stage}
        moving, cohort.up = [m for m in cohort.up if m[1] is not stage], []
        for number, s, body in moving:
            cohort.arrive(number, s, body)
    return made


def change_words(cohort: Cohort, body: bytes, change: dict[int, int]) -> bytes:
    """Add to words of device 4's masked vector and sign it anew."""
    message = MaskedInput.decode(body, 8 * WORDS)
    words = words_from_bytes(message.vector)
    added = np.zeros_like(words)
    for place, value in change.items():
        added[place] = value
    words += added  # modulo 2^64, like everything that is masked
    changed = replace(message, vector=words_to_bytes(words))
    return changed.sign(cohort.parties[4].identity.signing).encode()


# ---- 51, 52: range -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lane_overflow", {0: 1 << 20}),  # lanes have 21 bits; five devices make 327,675 at most
        ("lane_overflow_by_little", {0: 5 * 65_535}),
        ("padding_nonzero", {1: 1 << 42}),  # coordinate 5 of five
        ("spare_bit", {1: 1 << 63}),
        ("weight_above_cap", {2: 65_536}),
    ],
)
def test_range(cohort: Cohort, name: str, change: dict[int, int]) -> None:
    made = until(cohort, Stage.MASKED_INPUT)
    made[4] = change_words(cohort, made[4], change)
    for number, body in made.items():
        cohort.arrive(number, Stage.MASKED_INPUT, body)
    cohort.pump()
    assert cohort.outcome() == RoundAbandoned(0, AbortReason.RANGE, answered=True)
    assert not any(isinstance(effect, Summed) for effect in cohort.server_effects)


def test_lane_carry_is_no_extra_power(cohort: Cohort) -> None:
    """2^b - 1 in lane 0 is -1 there and +1 in lane 1: what an honest-looking vector could say too.

    A step is 2/65,535 of the clip 1.0 (12.3, 12.5).
    """
    made = until(cohort, Stage.MASKED_INPUT)
    made[4] = change_words(cohort, made[4], {0: 2**21 - 1})
    for number, body in made.items():
        cohort.arrive(number, Stage.MASKED_INPUT, body)
    cohort.pump()
    ended = cohort.outcome()
    assert isinstance(ended, Summed)
    moved = ended.sums[0] - cohort.expected_sum(0, range(5))
    np.testing.assert_allclose(moved, np.array([-2, 2, 0, 0, 0]) / 65_535, atol=1e-9)


# ---- 53, 54: vectors -----------------------------------------------------------------------------


def test_two_vectors_one_round(cohort: Cohort) -> None:
    """The first counts; both signed receipts are evidence against the device."""
    made = until(cohort, Stage.MASKED_INPUT)
    cohort.arrive(4, Stage.MASKED_INPUT, made[4])
    second = change_words(cohort, made[4], {0: 1})
    (evidence,) = cohort.arrive(4, Stage.MASKED_INPUT, second)
    assert isinstance(evidence, KeepEvidence)
    assert evidence.device == cohort.parties[4].id
    assert evidence.first != evidence.second
    ik = cohort.parties[4].identity.signing.public
    for proof in (evidence.first, evidence.second):
        verify_signature(ik, InputReceipt.LABEL, proof[:-64], proof[-64:])
        assert proof[:68] == evidence.first[:68]  # the same session, round and context
    for number in range(4):
        cohort.arrive(number, Stage.MASKED_INPUT, made[number])
    cohort.pump()
    ended = cohort.outcome()
    assert isinstance(ended, Summed)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, range(5)), atol=1e-9)


def test_vector_twice_is_counted_once(cohort: Cohort) -> None:
    made = until(cohort, Stage.MASKED_INPUT)
    for number, body in made.items():
        assert not any(
            isinstance(e, KeepEvidence) for e in cohort.arrive(number, Stage.MASKED_INPUT, body)
        )
        if number < 4:
            assert cohort.arrive(number, Stage.MASKED_INPUT, body) == ()
    cohort.pump()
    ended = cohort.outcome()
    assert isinstance(ended, Summed)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, range(5)), atol=1e-9)


def test_vector_after_fixed(cohort: Cohort) -> None:
    """Late vectors are not even read: no evidence, no count, and the sum is without them."""
    made = until(cohort, Stage.MASKED_INPUT)
    for number in range(4):
        cohort.arrive(number, Stage.MASKED_INPUT, made[number])
    cohort.pass_deadline(lambda number, stage: stage is not Stage.AGREE)
    assert cohort.server.phase is ServerPhase.AGREEING
    assert cohort.arrive(4, Stage.MASKED_INPUT, made[4]) == ()
    assert cohort.arrive(4, Stage.MASKED_INPUT, change_words(cohort, made[4], {0: 1})) == ()
    assert cohort.server.counts == {}


@pytest.mark.parametrize("fault", ["length", "context", "session", "round", "signature", "other"])
def test_vector_refused(cohort: Cohort, fault: str) -> None:
    made = until(cohort, Stage.MASKED_INPUT)
    signing = cohort.parties[4].identity.signing
    message = MaskedInput.decode(made[4], 8 * WORDS)
    match fault:
        case "length":
            message = replace(message, vector=message.vector + bytes(8)).sign(signing)
        case "context":
            message = replace(message, context=bytes(32)).sign(signing)
        case "session":
            message = replace(message, session=bytes(32)).sign(signing)
        case "round":
            message = replace(message, round=1).sign(signing)
        case "signature":
            message = message.sign(cohort.parties[3].identity.signing)
        case "other":
            message = MaskedInput.decode(made[3], 8 * WORDS)  # another device's, taken over
    assert cohort.arrive(4, Stage.MASKED_INPUT, message.encode()) == ()
    codes = {"length": RefusalCode.M1, "context": RefusalCode.U1}
    assert cohort.server.counts == {codes.get(fault, RefusalCode.M2): 1}


# ---- 55: answers -----------------------------------------------------------------------


def changed_response(cohort: Cohort, body: bytes, **changes: object) -> bytes:
    response = replace(UnmaskResponse.decode(body, 5), **changes)  # type: ignore[arg-type]
    return response.sign(cohort.parties[4].identity.signing).encode()


def answer_with(cohort: Cohort, made: dict[int, bytes], body: bytes) -> object:
    """Deliver device 4's answer first, then those of 0 to 2: t = 4 in all."""
    cohort.arrive(4, Stage.UNMASK_RESPONSE, body)
    for number in range(3):
        cohort.arrive(number, Stage.UNMASK_RESPONSE, made[number])
    return cohort.outcome()


def test_bad_share_gives_the_round_up(cohort: Cohort) -> None:
    made = until(cohort, Stage.UNMASK_RESPONSE)
    shares = list(UnmaskResponse.decode(made[4], 5).shares)
    shares[0] = (1).to_bytes(32, "little")
    lie = changed_response(cohort, made[4], shares=tuple(shares))
    assert answer_with(cohort, made, lie) is None  # device 3 may still answer (11.2)
    cohort.arrive(3, Stage.UNMASK_RESPONSE, made[3])
    assert cohort.outcome() == RoundAbandoned(0, AbortReason.BAD_SHARES, answered=True)
    assert not any(isinstance(e, KeepEvidence | Faulty) for e in cohort.server_effects)
    assert len(cohort.server.members) == 5


def test_bad_pair_share_gives_the_round_up(cohort: Cohort) -> None:
    """Device 3 sends no vector; device 4 lies about its p, and another key comes out."""
    cohort.open()
    while any(stage is not Stage.UNMASK_RESPONSE for _, stage, _ in cohort.down + cohort.up):
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        moving = [m for m in cohort.up if m[1] is not Stage.UNMASK_RESPONSE and m[:2] != SILENT]
        cohort.up = [m for m in cohort.up if m[1] is Stage.UNMASK_RESPONSE]
        for number, stage, body in moving:
            cohort.arrive(number, stage, body)
        if cohort.server.phase is ServerPhase.COLLECTING and not cohort.down:
            cohort.serve(Left(cohort.parties[3].id))
    made = {number: body for number, _, body in cohort.up}
    assert made.keys() == {0, 1, 2, 4}
    shares = list(UnmaskResponse.decode(made[4], 5).shares)
    shares[3] = (1).to_bytes(32, "little")
    lie = changed_response(cohort, made[4], shares=tuple(shares))
    ended = answer_with(cohort, made, lie)
    assert ended == RoundAbandoned(0, AbortReason.BAD_SHARES, answered=True)


def test_share_ge_P(cohort: Cohort) -> None:
    """P itself is no field element: the answer is refused, and a right one is taken."""
    made = until(cohort, Stage.UNMASK_RESPONSE)
    shares = list(UnmaskResponse.decode(made[4], 5).shares)
    shares[0] = P.to_bytes(32, "little")
    lie = changed_response(cohort, made[4], shares=tuple(shares))
    assert cohort.arrive(4, Stage.UNMASK_RESPONSE, lie) == ()
    assert cohort.server.counts == {RefusalCode.M1: 1}
    assert isinstance(answer_with(cohort, made, made[4]), Summed)


def test_response_for_other_U(cohort: Cohort) -> None:
    made = until(cohort, Stage.UNMASK_RESPONSE)
    lie = changed_response(cohort, made[4], survivors_hash=bytes(32))
    assert cohort.arrive(4, Stage.UNMASK_RESPONSE, lie) == ()
    assert cohort.server.counts == {RefusalCode.U4: 1}


def test_dealer_of_a_bad_box() -> None:
    """Device 4 says that dealer 1's box was bad: with too few good ones the dealer is left out."""
    cohort = Cohort(5)
    cohort.start()
    while not any(stage is Stage.READY for _, stage, _ in cohort.up):
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        if not any(stage is Stage.READY for _, stage, _ in cohort.up):
            while cohort.up:
                number, stage, body = cohort.up.pop(0)
                cohort.arrive(number, stage, body)
    while cohort.up:
        number, stage, body = cohort.up.pop(0)
        if number == 4:
            ready = Ready.decode(body, 5)
            claimed = replace(ready, good=ready.good - {1})
            body = claimed.sign(cohort.parties[4].identity.signing).encode()
        cohort.arrive(number, stage, body)
    # t = 4, so min(4 + 1, 4) = 4 other holders: dealer 1 has three and is left out (6.7).
    assert len(cohort.server.members) == 4
    assert cohort.parties[1].id not in cohort.server.members
    assert isinstance(cohort.run_round(), Summed)


# ---- set-up --------------------------------------------------------------------------------------


def test_advertisement_of_another_device(cohort: Cohort) -> None:
    cohort.server = cohort.new_server(epoch=2)
    cohort.start()
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    body = next(body for number, _, body in cohort.up if number == 3)
    assert cohort.arrive(4, Stage.ADVERTISE, body) == ()
    assert cohort.server.counts == {RefusalCode.M2: 1}


def test_shares_not_for_everybody(cohort: Cohort) -> None:
    """Boxes for too few, twice the same, or oneself are dropped whole; the device is then late."""
    cohort.server = cohort.new_server(epoch=2)
    cohort.start()
    made: dict[int, bytes] = {}
    while not made:
        while cohort.down:
            cohort.give(*cohort.down.pop(0))
        made = {number: body for number, stage, body in cohort.up if stage is Stage.SHARES}
        while cohort.up and not made:
            number, stage, body = cohort.up.pop(0)
            cohort.arrive(number, stage, body)
    honest = Shares.decode(made[4], 4)
    signing = cohort.parties[4].identity.signing
    boxes = honest.boxes
    for wrong in (boxes[1:], (boxes[0], boxes[0], *boxes[2:]), ((4, boxes[0][1]), *boxes[1:])):
        lie = replace(honest, boxes=wrong).sign(signing).encode()
        assert cohort.arrive(4, Stage.SHARES, lie) == ()
    assert cohort.server.counts == {RefusalCode.D1: 3}
