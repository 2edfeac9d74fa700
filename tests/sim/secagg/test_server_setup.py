"""A set-up at the aggregator that cannot go on, messages of another session, and its phases.

n = 10, a = 1, t = 6, unless said.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare_crypto.errors import IllegalInputError, ParameterError, RefusalCode
from dreamshare_crypto.secagg.epoch_messages import Ready, Shares
from dreamshare_crypto.secagg.events import EndReason, EpochOver, Opened, Stage
from dreamshare_crypto.secagg.offer import TemplateStep
from dreamshare_crypto.secagg.seed_messages import Reveal
from dreamshare_crypto.secagg.server_phases import ServerPhase
from tests.sim.secagg.federation import make_terms, noisy_params, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.regular import regular_cohort, small_graphs


def phases_of(cohort: Cohort) -> list[ServerPhase]:
    """Run a set-up and one round; return the aggregator's phases in the order of their coming."""
    seen = [cohort.server.phase]

    def note(number: int, stage: Stage) -> bool:
        if cohort.server.phase is not seen[-1]:
            seen.append(cohort.server.phase)
        return True

    cohort.start()
    cohort.pump(note)
    note(0, Stage.READY)
    cohort.run_round(note)
    note(0, Stage.READY)
    return seen


ROUND = [
    ServerPhase.SHARING,
    ServerPhase.READY,
    ServerPhase.COLLECTING,
    ServerPhase.AGREEING,
    ServerPhase.UNMASKING,
    ServerPhase.READY,
]


def test_phases_in_their_order() -> None:
    """Section 8; profile C knows no SEEDED."""
    cohort = Cohort(4, make_terms(least_cohort=3))
    assert (cohort.server.members, cohort.server.least_active) == ((), 0)
    expected = [ServerPhase.IDLE, ServerPhase.OFFERED, ServerPhase.ROSTERED, *ROUND]
    assert phases_of(cohort) == expected


def test_phases_of_a_random_graph() -> None:
    with small_graphs():
        seen = phases_of(regular_cohort(rounds=2))
    before = [ServerPhase.IDLE, ServerPhase.OFFERED, ServerPhase.ROSTERED, ServerPhase.SEEDED]
    assert seen == [*before, *ROUND]


def over(cohort: Cohort) -> EndReason | None:
    ends = cohort.over()
    return None if ends is None else ends.reason


def test_a_roster_without_thresholds_is_not_made() -> None:
    """Eight devices came; a sum of eight was asked, and A_min of a round would be five."""
    cohort = Cohort(8, make_terms(least_cohort=8))
    cohort.start()
    cohort.pump()
    assert over(cohort) is EndReason.TOO_FEW
    assert not any(stage is Stage.ROSTER for _, stage, _ in cohort.down)


def test_too_few_dealt() -> None:
    cohort = Cohort(10, spec_terms())
    cohort.start()
    cohort.pump(lambda number, stage: stage is not Stage.SHARES or number < 8)
    assert over(cohort) is None
    cohort.pass_deadline()
    assert over(cohort) is EndReason.TOO_FEW  # A_min is 9


def test_too_few_are_ready() -> None:
    cohort = Cohort(10, spec_terms())
    cohort.start()
    cohort.pump(lambda number, stage: stage is not Stage.READY or number < 8)
    cohort.pass_deadline()
    assert over(cohort) is EndReason.TOO_FEW


@pytest.mark.parametrize("stage", [Stage.SHARES, Stage.READY])
def test_messages_of_another_session(stage: Stage) -> None:
    """Dropped (M2) though its sender signed it; the right one then counts."""
    cohort = Cohort(4, make_terms(rounds=2))
    key = cohort.parties[2].identity.signing
    cohort.start()
    cohort.pump(lambda number, sent: (number, sent) != (2, stage))
    (right,) = cohort.parties[2].sent(stage)
    kind = Shares.decode(right, 2) if stage is Stage.SHARES else Ready.decode(right, 4)
    wrong = replace(kind, session=bytes(32)).sign(key).encode()
    assert cohort.arrive(2, stage, wrong) == ()
    assert cohort.server.counts == {RefusalCode.M2: 1}
    cohort.arrive(2, stage, right)
    cohort.pump()
    assert cohort.server.phase is ServerPhase.READY


def test_a_nonce_for_another_roster() -> None:
    with small_graphs():
        cohort = regular_cohort(rounds=1)
        cohort.start()
        cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
        number = next(i for i, party in enumerate(cohort.parties) if party.sent(Stage.REVEAL))
        party = cohort.parties[number]
        (right,) = party.sent(Stage.REVEAL)
        wrong = replace(Reveal.decode(right), roster_digest=bytes(32))
        cohort.arrive(number, Stage.REVEAL, wrong.sign(party.identity.signing).encode())
        assert cohort.server.counts == {RefusalCode.M2: 1}


def test_a_graph_is_not_asked_before_its_seed() -> None:
    with small_graphs():
        cohort = regular_cohort(rounds=1)
        cohort.start()
        cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
        session = cohort.parties[0].client.phase.session  # type: ignore[union-attr]
        assert session.sid == b""
        with pytest.raises(IllegalInputError, match="not seeded"):
            session.graph.neighbours(0)


def test_noise_that_a_small_cohort_cannot_make_is_the_owners_error() -> None:
    """The round is not opened: every device would refuse it (12.6)."""
    step = TemplateStep("test/1", "sum", noisy_params(crowd=30))
    cohort = Cohort(10, spec_terms(template=(step,)))
    cohort.set_up()
    wanted = Opened(payload_of("x").hash, step.params, collect_s=60.0, reveal_s=20.0)
    with pytest.raises(ParameterError, match="no device would take part"):
        cohort.serve(wanted)
    assert cohort.server.phase is ServerPhase.READY
    assert not any(isinstance(effect, EpochOver) for effect in cohort.server_effects)
