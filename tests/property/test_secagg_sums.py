"""Sums through the real machines at both ends, for any cohort and any drop pattern (test 70)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import RoundAbandoned, Stage, Summed
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort

DROPS = [
    Stage.ROUND_START,
    Stage.MASKED_INPUT,
    Stage.SURVIVORS,
    Stage.AGREE,
    Stage.AGREE_SET,
    Stage.UNMASK_RESPONSE,
]
BEFORE_VECTOR = {Stage.ROUND_START, Stage.MASKED_INPUT}
BEFORE_AGREEMENT = {Stage.SURVIVORS, Stage.AGREE}


@st.composite
def drop_patterns(draw: st.DrawFn) -> tuple[int, dict[int, Stage]]:
    """n and, for some devices, the first message that is lost; everything after it is lost too."""
    n = draw(st.integers(3, 12))
    victims = draw(st.sets(st.integers(0, n - 1), max_size=n // 2 + 1))
    return n, {victim: draw(st.sampled_from(DROPS)) for victim in sorted(victims)}


@settings(max_examples=40, deadline=None)
@given(drop_patterns(), st.sampled_from(Suite))
def test_masked_sum_is_integer_sum(pattern: tuple[int, dict[int, Stage]], suite: Suite) -> None:
    """Enough devices at every stage: the exact sum of those whose vector arrived. Else nothing.

    The updates lie on the encoding's grid, so each decoded coordinate is a whole number of steps.
    """
    n, dropped = pattern
    cohort = Cohort(n, make_terms(rounds=1, suite=suite))
    cohort.set_up()

    def keeps(number: int, stage: Stage) -> bool:
        if number not in dropped or stage not in DROPS:
            return True
        return DROPS.index(stage) < DROPS.index(dropped[number])

    ended = cohort.run_round(keeps)
    (member,) = {party.client.phase.member.session.derived for party in cohort.parties}
    sent = [i for i in range(n) if dropped.get(i) not in BEFORE_VECTOR]
    agreed = [i for i in sent if dropped.get(i) not in BEFORE_AGREEMENT]
    answered = [i for i in agreed if i not in dropped]
    enough = (
        len(sent) >= max(member.u_min, member.t)
        and len(agreed) >= member.q
        and len(answered) >= member.t
    )
    if not enough:
        assert isinstance(ended, RoundAbandoned)
        assert not any(isinstance(effect, Summed) for effect in cohort.server_effects)
        return
    assert isinstance(ended, Summed)
    assert ended.survivors == tuple(cohort.parties[i].id for i in sent)
    steps = np.rint((ended.sums[0] + len(sent)) * 65_535 / 2)
    truth = sum(np.rint((cohort.parties[i].vectors[0][0] + 1) * 65_535 / 2) for i in sent)
    np.testing.assert_array_equal(steps, truth)
    assert ended.weight_sum == len(sent)


@settings(max_examples=25, deadline=None)
@given(drop_patterns(), st.sampled_from(Suite))
def test_masked_sum_is_integer_sum_in_bounded_mode(
    pattern: tuple[int, dict[int, Stage]], suite: Suite
) -> None:
    """The same without agreeing: at most d dropouts before the vector, at most n - t after it."""
    n, dropped = pattern[0] + 2, pattern[1]  # 5..14, whose parameters all leave a crowd
    wanted = {"a_min_ppm": 1_000_000, "d_ppm": 200_000}
    cohort = Cohort(n, make_terms(rounds=1, suite=suite, mode=Mode.BOUNDED, **wanted))
    cohort.set_up()

    def keeps(number: int, stage: Stage) -> bool:
        if number not in dropped or stage not in DROPS:
            return True
        return DROPS.index(stage) < DROPS.index(dropped[number])

    ended = cohort.run_round(keeps)
    (member,) = {party.client.phase.member.session.derived for party in cohort.parties}
    sent = [i for i in range(n) if dropped.get(i) not in BEFORE_VECTOR]
    answered = [i for i in sent if i not in dropped]
    if n - len(sent) > member.d or len(answered) < member.t:
        assert isinstance(ended, RoundAbandoned)
        return
    assert isinstance(ended, Summed)
    assert ended.survivors == tuple(cohort.parties[i].id for i in sent)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, sent), atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_arrival_order_does_not_matter(random) -> None:
    """Messages of one direction in any order among devices: the same survivors and sum."""
    cohort = Cohort(5, make_terms(rounds=1))
    cohort.set_up()
    cohort.open()
    while cohort.outcome() is None:
        random.shuffle(cohort.down)
        while cohort.down:
            cohort.give(*cohort.down.pop())
        random.shuffle(cohort.up)
        assert cohort.up
        number, stage, body = cohort.up.pop()
        cohort.arrive(number, stage, body)
    ended = cohort.outcome()
    assert isinstance(ended, Summed)
    assert len(ended.survivors) == 5
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, range(5)), atol=1e-9)
