"""74: each check is needed. An attack fails as the product is, and succeeds with the check out.

For S4 and Q1, and for U3 and B1 in whole cohorts, the same is shown beside the attacks themselves
(`test_isolation.py`, `test_exhaustive.py`), for J1 in `test_rollback.py`. n = 10, a = 1, t = q = 6,
A_min = 9, u_min = 8, agreed, profile C, unless a test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg import round_checks
from dreamshare_crypto.secagg.events import (
    Received,
    RoundAbandoned,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import Survivors
from tests.sim.secagg.attacks import (
    ask,
    collect,
    nothing,
    open_sum,
    opened,
    show,
    start_all,
)
from tests.sim.secagg.federation import payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile, ready_cohort

OTHER = payload_of("another plan")


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


def sum_over(
    hostile: Hostile, start: RoundStart, shown: dict[int, Survivors], members: range
) -> np.ndarray:
    """Open a sum with nothing but the shares that were sent."""
    p_shares, s_shares = collect(hostile, start, shown)
    return open_sum(
        hostile,
        start,
        members,
        lambda d, alive: opened(hostile, s_shares if alive else p_shares, d),
    )


# ---- S5, S6: the question ------------------------------------------------------------------------


def answers_another_plan(hostile: Hostile) -> bool:
    """All are bound to one plan by Hb; device 0 is handed another and answers into the same sum."""
    start = hostile.start()
    hostile.give_start(0, start, OTHER)
    hostile.give_start(1, start)
    return bool(hostile.cohort.parties[0].sent(Stage.MASKED_INPUT))


def test_needs_s5(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not answers_another_plan(hostile)
    assert hostile.cohort.parties[0].refusals() == ["S5"]
    monkeypatch.setattr(round_checks, "check_start_payload", nothing)
    assert answers_another_plan(hostile)
    assert hostile.vector(0).context == hostile.vector(1).context


def answers_what_its_owner_forbids(hostile: Hostile) -> bool:
    hostile.give_start(0, hostile.start(), replace(PAYLOAD, refusal=RefusalCode.S6))
    return bool(hostile.cohort.parties[0].sent(Stage.MASKED_INPUT))


def test_needs_s6(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not answers_what_its_owner_forbids(hostile)
    assert hostile.cohort.parties[0].refusals() == ["S6"]
    monkeypatch.setattr(round_checks, "check_start_permitted", nothing)
    assert answers_what_its_owner_forbids(hostile)


# ---- S7: differencing ----------------------------------------------------------------------------


class Steady(Cohort):
    """Devices whose update depends on the plan alone, as a real one's does."""

    def update_of(
        self, number: int, round_: int, params: Params
    ) -> tuple[tuple[np.ndarray, ...], float]:
        fields, weight = super().update_of(number, 0, params)
        self.parties[number].vectors[round_] = fields
        return fields, weight


def drop_one_and_repeat(cohort: Cohort) -> np.ndarray | None:
    """Sum one plan over everybody, and again without device 4; return the difference."""
    first = cohort.run_round(payload=PAYLOAD)
    again = cohort.run_round(lambda n, stage: (n, stage) != (4, Stage.MASKED_INPUT), PAYLOAD)
    assert isinstance(first, Summed)
    if isinstance(again, RoundAbandoned):
        return None
    return first.sums[0] - again.sums[0]


def test_needs_s7(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of two sums is device 4's vector."""
    cohort = Steady(10, spec_terms())
    cohort.set_up()
    assert drop_one_and_repeat(cohort) is None
    assert cohort.parties[0].refusals() == ["S7"]
    monkeypatch.setattr(round_checks, "check_start_fresh", nothing)
    cohort = Steady(10, spec_terms())
    cohort.set_up()
    bare = drop_one_and_repeat(cohort)
    assert bare is not None
    np.testing.assert_allclose(bare, cohort.parties[4].vectors[0][0], atol=1e-9)


def toggle_one(hostile: Hostile) -> bool:
    """Leave device 4 out of one round and have it back in the next."""
    first, second = payload_of("first"), payload_of("second")
    hostile.give_start(0, hostile.start(0, active=hostile.everyone - {4}, payload=first), first)
    hostile.give_start(0, hostile.start(1, payload=second), second)
    return len(hostile.cohort.parties[0].sent(Stage.MASKED_INPUT)) == 2


def test_needs_s7_monotone(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not toggle_one(hostile)
    assert hostile.cohort.parties[0].refusals() == ["S7"]
    monkeypatch.setattr(round_checks, "check_start_monotone", nothing)
    assert toggle_one(ready_cohort())


# ---- U2, U3: the crowd ---------------------------------------------------------------------------


def count_the_absent(hostile: Hostile) -> np.ndarray | None:
    """Fill U up with device 8, which was never active: |U| = 8, and 7 vectors in the sum.

    Return the sum over devices 0 to 6 where it opens; device 9 colludes and stays out.
    """
    start = hostile.start(active=hostile.everyone - {8})
    start_all(hostile, start)
    shown = show(hostile, start, [*range(7), 8], range(7))
    ask(hostile, shown)
    return sum_over(hostile, start, shown, range(7)) if hostile.shares_sent() else None


def test_needs_u2(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over 7 where 8 were promised."""
    assert count_the_absent(hostile) is None
    assert hostile.cohort.parties[0].refusals() == ["U2"]
    monkeypatch.setattr(round_checks, "check_survivors_within", nothing)
    hostile = ready_cohort()
    opened_sum = count_the_absent(hostile)
    assert opened_sum is not None
    np.testing.assert_allclose(opened_sum, hostile.cohort.expected_sum(0, range(7)), atol=1e-9)


def sum_over_six(hostile: Hostile) -> np.ndarray | None:
    """Show six survivors, enough for t and q."""
    start = hostile.start()
    start_all(hostile, start)
    shown = show(hostile, start, range(6), range(6))
    ask(hostile, shown)
    return sum_over(hostile, start, shown, range(6)) if hostile.shares_sent() else None


def test_needs_u3(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over 6 where 8 were promised."""
    assert sum_over_six(hostile) is None
    assert hostile.cohort.parties[0].refusals() == ["U3"]
    monkeypatch.setattr(round_checks, "check_survivors_enough", nothing)
    hostile = ready_cohort()
    opened_sum = sum_over_six(hostile)
    assert opened_sum is not None
    np.testing.assert_allclose(opened_sum, hostile.cohort.expected_sum(0, range(6)), atol=1e-9)


# ---- M2 ------------------------------------------------------------------------------------------


def test_needs_m2(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that anybody on the way may open: the signature is what ties it to the aggregator."""
    start = replace(hostile.start(), signature=bytes(64))
    event = Received(Stage.ROUND_START, start.encode(), PAYLOAD)
    hostile.cohort.tell(0, event)
    assert hostile.cohort.parties[0].client.counts[RefusalCode.M2] == 1
    monkeypatch.setattr(RoundStart, "verify", nothing)
    hostile.cohort.tell(0, event)
    assert hostile.cohort.parties[0].sent(Stage.MASKED_INPUT)
