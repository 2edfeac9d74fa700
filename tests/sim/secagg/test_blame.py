"""Wrong shares and who is to blame: tests 44 to 49 of section 16, paragraphs 11.1 to 11.4.

n = 10, a = 1, t = 6 unless said: radius floor((10 - 6) / 2) = 2, blame from t + a = 7 answers that
agree, certainty from t + 2a = 8.
"""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg import reconstruction
from dreamshare_crypto.secagg.blame import Blame, FaultRecord
from dreamshare_crypto.secagg.events import (
    AbortReason,
    EndReason,
    EpochOver,
    FaultReason,
    Faulty,
    Persist,
    RecordKind,
    RoundAbandoned,
    Summed,
)
from dreamshare_crypto.secagg.schedule import Kind
from tests.sim.secagg.federation import make_terms, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.liars import Lied, deal_badly, faults, publish_other

BAD = RoundAbandoned(0, AbortReason.BAD_SHARES, answered=True)


@pytest.fixture
def cohort() -> Cohort:
    return Cohort(10, make_terms(rounds=3))


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of answers of every decoding that takes place."""
    sizes: list[int] = []
    honest = reconstruction.decode

    def decode(t: int, xs: list[int], shares: list[bytes]) -> object:
        sizes.append(len(xs))
        return honest(t, xs, shares)

    monkeypatch.setattr(reconstruction, "decode", decode)
    return sizes


def blame_of(cohort: Cohort) -> Blame:
    found = cohort.server._course.cohort
    assert found is not None
    return found.blame


def marks(cohort: Cohort) -> dict[int, set[int]]:
    """Return every device's marks that has any."""
    blame = blame_of(cohort)
    return {i: set(blame.marks(i)) for i in range(len(cohort.parties)) if blame.marks(i)}


def summed_all(cohort: Cohort, ended: object, numbers: range | list[int] = range(10)) -> None:
    assert isinstance(ended, Summed)
    expected = cohort.expected_sum(ended.round, numbers)
    np.testing.assert_allclose(ended.sums[0], expected, atol=1e-9)


def spoil_s(*holders: int) -> object:
    return lambda kind, r: holders if (kind, r) == (Kind.S, 0) else ()


# ---- 44, 45: dealers -----------------------------------------------------------------------------


def test_bad_dealer_one_holder(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """44: the share that device 4 got of dealer 2 is wrong: decoded, one edge, nobody excluded."""
    deal_badly(monkeypatch, cohort.parties[2].id, spoil_s(4))
    cohort.set_up()
    summed_all(cohort, Lied(cohort).deliver())
    assert marks(cohort) == {2: {4}, 4: {2}}
    assert faults(cohort) == {}
    assert len(cohort.server.members) == 10


def test_bad_dealer_all(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """45: s-shares of no polynomial: abandoned, the dealer alone is faulty and out of later rounds.

    It costs one round: the next one sums the nine others.
    """
    deal_badly(monkeypatch, cohort.parties[2].id, lambda kind, r: range(10))
    cohort.set_up()
    assert Lied(cohort).deliver() == BAD
    assert faults(cohort) == {2: FaultReason.NOT_DECODABLE}
    assert cohort.parties[2].id not in cohort.server.members
    summed_all(cohort, cohort.run_round(), [i for i in range(10) if i != 2])


def test_bad_dealer_of_another_polynomial(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """45: every s-share lies on one polynomial, but not that of the commitment: contradiction."""
    publish_other(monkeypatch, cohort.parties[2].id, "commitment")
    cohort.set_up()
    assert Lied(cohort).deliver() == BAD
    assert faults(cohort) == {2: FaultReason.CONTRADICTION}
    assert marks(cohort) == {}


def test_two_bad_dealers_cost_one_round(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can be judged with the answers at hand is, before the round is given up."""
    for number in (2, 7):
        deal_badly(monkeypatch, cohort.parties[number].id, lambda kind, r: range(10))
    cohort.set_up()
    assert Lied(cohort).deliver() == BAD
    assert faults(cohort).keys() == {2, 7}
    summed_all(cohort, cohort.run_round(), [i for i in range(10) if i not in (2, 7)])


def test_fewer_than_a_min_end_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A_min = 9 of ten: without two faulty dealers eight are left; another epoch must follow."""
    cohort = Cohort(10, spec_terms())
    for number in (2, 7):
        deal_badly(monkeypatch, cohort.parties[number].id, lambda kind, r: range(10))
    cohort.set_up()
    assert Lied(cohort).deliver() == BAD
    assert cohort.over() == EpochOver(EndReason.TOO_FEW)
    assert faults(cohort).keys() == {2, 7}


# ---- 46: holders ---------------------------------------------------------------------------------


def test_lying_holder_frames(cohort: Cohort) -> None:
    """46: device 0 spoils every share it gives, and answers first: only device 0 is excluded."""
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(0)
    summed_all(cohort, lied.deliver())
    found = marks(cohort)
    assert found.pop(0) > {1}  # more than a
    assert all(partners == {0} for partners in found.values())  # 1 <= a
    assert faults(cohort) == {0: FaultReason.MARKED_EDGES}
    assert cohort.server.members == tuple(party.id for party in cohort.parties[1:])
    summed_all(cohort, cohort.run_round(), range(1, 10))


def test_lying_holder_is_left_out_at_once(cohort: Cohort, decodings: list[int]) -> None:
    """Two dealers' marks exceed a = 1: from the third on, device 0 is left out and nobody decodes.

    The first dealer is device 0 itself, whose edge leads to itself; then 1, then it is known.
    """
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(0)
    assert isinstance(lied.deliver(), Summed)
    assert len(decodings) == 2


def test_a_marked_edge_is_not_used_again(
    cohort: Cohort, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device 4's shares of dealer 2 are wrong in each round; it is decoded in the first alone."""
    deal_badly(monkeypatch, cohort.parties[2].id, lambda kind, r: (4,))
    cohort.set_up()
    summed_all(cohort, Lied(cohort).deliver())
    assert decodings == [8]
    summed_all(cohort, cohort.run_round())
    assert decodings == [8]


def test_liars_that_answer_late_are_not_looked_at(cohort: Cohort) -> None:
    """11.1: the first t answers suffice; what comes after them changes nothing."""
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(9)
    summed_all(cohort, lied.deliver())
    assert marks(cohort) == {}


# ---- 47: the radius ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_max_errors(cohort: Cohort, decodings: list[int], first: bool) -> None:
    """47: two of ten answers for dealer 5 are wrong: decoded, whichever come first."""
    cohort.set_up()
    lied = Lied(cohort)
    liars = (0, 1) if first else (4, 5)
    for holder in liars:
        lied.lie(holder, [5])
    summed_all(cohort, lied.deliver())
    # Eight answers correct one error; with the liars among them it takes all ten.
    assert decodings == [8, 10]
    assert marks(cohort) == {
        5: set(liars) | ({5} if 5 in liars else set()),
        **{i: {5} for i in liars if i != 5},
    }


def test_max_errors_and_one_more(cohort: Cohort, decodings: list[int]) -> None:
    """47: three wrong of ten for dealer 5: abandoned, and at most three decodings.

    Three liars are more than a = 1, so the dealer looks faulty: outside the assumption.
    """
    cohort.set_up()
    lied = Lied(cohort)
    for holder in (0, 1, 2):
        lied.lie(holder, [5])
    assert lied.deliver() == BAD
    assert decodings == [8, 10]
    assert faults(cohort) == {5: FaultReason.NOT_DECODABLE}


def test_at_most_three_decodings(decodings: list[int]) -> None:
    """n = 30, a = 2, t = 17, t + 2a = 21: at t + 2, at t + 2a, and with everything.

    Seven are wrong and radius((30 - 17) / 2) = 6.
    """
    cohort = Cohort(30, make_terms(rounds=1, n_max=30))
    cohort.set_up()
    lied = Lied(cohort)
    for holder in range(7):
        lied.lie(holder, [20])
    assert lied.deliver() == BAD
    assert decodings == [19, 21, 30]


# ---- 48, 49: what was published ------------------------------------------------------------------


def test_wrong_commitment(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """48: com[0] is of another s; all answers agree on the polynomial, so the dealer lied."""
    publish_other(monkeypatch, cohort.parties[3].id, "commitment")
    cohort.set_up()
    lied = Lied(cohort)
    assert lied.deliver(*range(7)) is None  # t + a = 7 would carry it; decoding waits for t + 2
    assert lied.deliver(7) == BAD  # and does not wait for who could not change it
    assert faults(cohort) == {3: FaultReason.CONTRADICTION}
    assert isinstance(cohort.run_round(), Summed)


def test_wrong_pk(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """49: pk[0] is of another p, which shows when the device drops out."""
    publish_other(monkeypatch, cohort.parties[3].id, "pair_key")
    cohort.set_up()
    assert Lied(cohort, silent=[3]).deliver() == BAD
    assert faults(cohort) == {3: FaultReason.CONTRADICTION}
    assert cohort.parties[3].id not in cohort.server.members


def test_wrong_p_shares(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine answers for a dropped dealer, one of them wrong: decoded like an s."""
    deal_badly(monkeypatch, cohort.parties[3].id, lambda kind, r: (1,) if kind is Kind.P else ())
    cohort.set_up()
    summed_all(cohort, Lied(cohort, silent=[3]).deliver(), [i for i in range(10) if i != 3])
    assert marks(cohort) == {1: {3}, 3: {1}}


# ---- waiting for more answers --------------------------------------------------------------------


def test_a_failed_check_waits_for_more(cohort: Cohort) -> None:
    """11.2: six answers with a wrong one do not end the round, two more correct it."""
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(0, [5])
    assert lied.deliver(*range(6)) is None
    assert lied.deliver(6) is None
    summed_all(cohort, lied.deliver(7))


def test_the_silent_are_asked_again(cohort: Cohort) -> None:
    """Seven answers with one wrong decide nothing: at the deadline who is silent is asked again."""
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(0, [5])
    assert lied.deliver(*range(7)) is None
    cohort.pass_deadline(lambda number, stage: False)
    assert lied.outcome is None
    summed_all(cohort, lied.deliver(8))


def test_too_few_to_blame(cohort: Cohort) -> None:
    """11.4: seven answers and nobody more: the round is over, and nobody is named."""
    cohort.set_up()
    lied = Lied(cohort)
    lied.lie(0, [5])
    lied.deliver(*range(7))
    for _ in range(4):  # three times more, then it is given up
        assert lied.outcome is None
        cohort.pass_deadline(lambda number, stage: False)
    assert lied.outcome == BAD
    assert (faults(cohort), marks(cohort)) == ({}, {})


def test_enough_answers_are_not_waited_past_the_deadline(cohort: Cohort) -> None:
    """With t + 2a = 8 answers an honest dealer's secret would be open: one deadline, no resends."""
    cohort.set_up()
    lied = Lied(cohort)
    for holder in (0, 1):
        lied.lie(holder, [5])
    assert lied.deliver(*range(8)) is None
    cohort.pass_deadline(lambda number, stage: False)
    assert lied.outcome == BAD
    assert faults(cohort) == {5: FaultReason.NOT_DECODABLE}


# ---- telling the owner ---------------------------------------------------------------------------


def test_a_fault_is_durable_before_it_is_told(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal_badly(monkeypatch, cohort.parties[2].id, lambda kind, r: range(10))
    cohort.set_up()
    Lied(cohort).deliver()
    place = next(i for i, e in enumerate(cohort.server_effects) if isinstance(e, Faulty))
    kept = cohort.server_effects[place - 1]
    assert isinstance(kept, Persist)
    assert kept.sync
    assert kept.record.kind is RecordKind.SERVER_FAULTY
    assert FaultRecord.decode(kept.record.body) == FaultRecord(
        epoch=1, round=0, device=cohort.parties[2].id, reason=FaultReason.NOT_DECODABLE
    )


def test_a_fault_of_an_unknown_reason_is_no_record() -> None:
    raw = FaultRecord(1, 2, bytes(16), FaultReason.MARKED_EDGES).encode()
    assert FaultRecord.decode(raw).reason is FaultReason.MARKED_EDGES
    with pytest.raises(MalformedError, match="unknown reason"):
        FaultRecord.decode(raw[:-1] + b"\x09")
