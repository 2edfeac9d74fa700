"""Noise on the wire: what a device refuses, what it charges, and what a restart keeps (12.6, 12.7).

n = 10, a = 1, u_min = 8, so E - a = 7.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.accounting import NO_NOISE, epsilon
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.noise import sensitivity
from dreamshare_crypto.secagg.events import Computed, Received, Record, RecordKind, Stage
from dreamshare_crypto.secagg.memory import Memory, lasting
from dreamshare_crypto.secagg.offer import TemplateStep
from dreamshare_crypto.secagg.phases import Committed, Sent
from dreamshare_crypto.secagg.records import ChargeRecord, VectorRecord
from tests.sim.secagg.federation import NOW, noisy_params, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile

CHARGE = sensitivity(noisy_params())


def cohort(floor: Floor | None = None, crowd: int = 3) -> Hostile:
    step = TemplateStep("test/1", "sum", noisy_params(crowd=crowd))
    made = Cohort(10, spec_terms(template=(step,)), floor)
    made.set_up()
    return Hostile(made)


@pytest.fixture
def hostile() -> Hostile:
    return cohort()


def refused(hostile: Hostile, code: str, **params: object) -> None:
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start(params=replace(hostile.params(), **params)))  # type: ignore[arg-type]
    assert party.refusals()[-1] == code
    assert party.sent(Stage.MASKED_INPUT) == []


def test_start_noise_removed(hostile: Hostile) -> None:
    """S5: the offer had noise; a round with less of it, or none, is another encoding."""
    party = hostile.cohort.parties[0]
    quiet = replace(
        spec_terms().template[0].params, a_min=9, u_min=8, round_nonce=b"nonce of a round"
    )
    hostile.give_start(0, hostile.start(params=quiet))
    assert party.refusals() == ["S5"]
    refused(hostile, "S5", noise_variance=hostile.params().noise_variance * 0.99)
    refused(hostile, "S5", l2_clip=2.0)


def test_start_small_crowd() -> None:
    """S5: tails made for an honest crowd of 30; ten devices guarantee 7, with larger parts each."""
    hostile = cohort(crowd=30)
    refused(hostile, "S5")


def test_start_budget_spent() -> None:
    """S6: two rounds fit the budget; the third is refused before anything is computed."""
    budget = epsilon([CHARGE] * 2, 1e-6) * 1.001
    hostile = cohort(Floor(epsilon=budget))
    party = hostile.cohort.parties[0]
    for r in range(3):
        payload = payload_of(f"cycle {r}")
        hostile.give_start(0, hostile.start(r, payload=payload), payload)
    assert len(party.sent(Stage.MASKED_INPUT)) == 2
    assert party.refusals() == ["S6"]


def test_budget_of_two_tasks_is_one() -> None:
    """Another task's vector left while this one's was computed: S6 before the vector leaves."""
    hostile = cohort(Floor(epsilon=epsilon([CHARGE], 1e-6) * 1.001))
    party = hostile.cohort.parties[0]
    event = hostile.start()
    party.memory.ledger.note(b"session of another task, 32 bytes", 0, CHARGE, NOW)
    hostile.give_start(0, event)
    assert party.refusals() == ["S6"]
    party.memory.ledger.forget(NOW + 1)
    hostile.give_start(0, hostile.start())
    assert len(party.sent(Stage.MASKED_INPUT)) == 1


def test_a_charge_counts_for_its_period(hostile: Hostile) -> None:
    """A day's budget: what left more than a day ago is not counted any more."""
    hostile = cohort(Floor(epsilon=epsilon([CHARGE], 1e-6) * 1.001, budget_s=3600))
    party = hostile.cohort.parties[0]
    party.memory.ledger.note(b"another session", 0, CHARGE, hostile.cohort.now - 3601)
    hostile.give_start(0, hostile.start())
    assert len(party.sent(Stage.MASKED_INPUT)) == 1


def test_vector_and_charge_are_one_record(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start())
    (record,) = [r for r in party.journal.records if r.kind is RecordKind.VECTOR]
    written = VectorRecord.decode(record.body)
    assert (written.charge, written.charged_at) == (CHARGE, int(NOW))
    assert party.memory.ledger.charges(0.0) == (CHARGE,)


def test_ledger_over_a_restart_and_beyond_the_session(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start())
    party.restart()
    assert party.memory.ledger.charges(0.0) == (CHARGE,)
    kept = lasting(party.journal.records)
    assert RecordKind.VECTOR not in {record.kind for record in kept}
    (left,) = [record for record in kept if record.kind is RecordKind.CHARGE]
    assert ChargeRecord.decode(left.body).charge == CHARGE
    later = Memory.from_records([*kept, *party.journal.records])  # both: a crash while dropping
    assert later.ledger.charges(0.0) == (CHARGE,)


def test_a_round_without_noise_costs_everything() -> None:
    made = Cohort(4)
    made.set_up()
    made.run_round()
    assert made.parties[0].memory.ledger.charges(0.0) == (NO_NOISE,)


def test_a_crash_before_the_vector_draws_new_noise_and_charges_once(hostile: Hostile) -> None:
    """Nothing left between COMMIT and VECTOR, so the noise need not repeat; afterwards it must."""
    party, start = hostile.cohort.parties[0], hostile.start()
    records: list[Record] = list(party.journal.records)
    hostile.give_start(0, start)
    first = party.sent(Stage.MASKED_INPUT)[-1]
    hostile.give_start(0, start)
    assert party.sent(Stage.MASKED_INPUT)[-1] == first  # the stored bytes
    party.restart()
    assert isinstance(party.client.phase, Sent)
    hostile.give_start(0, start)
    assert party.sent(Stage.MASKED_INPUT)[-1] == first

    upto = [r.kind for r in party.journal.records].index(RecordKind.COMMIT) + 1
    del party.journal.records[upto:]
    assert len(party.journal.records) == len(records) + 1
    party.restart()
    assert isinstance(party.client.phase, Committed)
    assert party.memory.ledger.charges(0.0) == ()
    hostile.give_start(0, start)
    second = party.sent(Stage.MASKED_INPUT)[-1]
    assert second != first
    assert len(second) == len(first)
    assert party.memory.ledger.charges(0.0) == (CHARGE,)


def test_a_whole_round_with_noise_and_dropouts() -> None:
    """The sum is the survivors', give or take noise of deviation sqrt(9/7 mu) levels."""
    made = cohort().cohort
    total = made.run_round(keeps=lambda number, stage: (number, stage) != (4, Stage.MASKED_INPUT))
    assert total is not None
    truth = sum(party.vectors[0][0] for i, party in enumerate(made.parties) if i != 4)
    assert isinstance(truth, np.ndarray)
    # update_of's vectors are longer than the clip of 1 and scaled down to it, rounded at random
    lengths = [np.linalg.norm(p.vectors[0][0]) for p in made.parties]
    clipped = sum(
        party.vectors[0][0] * min(1.0, 1.0 / length)
        for i, (party, length) in enumerate(zip(made.parties, lengths, strict=True))
        if i != 4
    )
    deviation = (CHARGE.variance * 9 / 7) ** 0.5 * 2 / 4095
    error = np.abs(total.sums[0] - clipped)
    assert error.max() < 5 * deviation
    assert error.max() > deviation / 50


def test_weights_are_refused_under_noise(hostile: Hostile) -> None:
    """E1: noise hides values, not weights."""
    party = hostile.cohort.parties[0]
    party.handle(_started(hostile), hostile.cohort.now)
    effects = party.handle(Computed(0, (np.zeros(5),), 0.5), hostile.cohort.now)
    assert [effect.code for effect in effects] == ["E1"]
    assert party.sent(Stage.MASKED_INPUT) == []


def _started(hostile: Hostile) -> Received:
    return Received(Stage.ROUND_START, hostile.start().encode(), PAYLOAD)
