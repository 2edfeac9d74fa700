"""63: an aggregator that is killed between FIXED and Survivors stays with one U_r.

It goes on with that set (`test_server_crash`). Here it is one that starts anew, or lies: what
binds it then is the record, and the devices.
"""

from __future__ import annotations

import numpy as np

from dreamshare_crypto.secagg.events import Persist, RecordKind, Send, Stage, Summed
from dreamshare_crypto.secagg.phases import Answered, Done, Sent
from dreamshare_crypto.secagg.survivor_messages import Survivors
from tests.sim.secagg.federation import payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import Hostile, ready_cohort

PAYLOAD = payload_of("asked before and after the kill")


def killed_after_fixed() -> tuple[Cohort, Survivors]:
    """Return a cohort whose aggregator fixed U_r, wrote it down, and died; and that record."""
    cohort = Cohort(10, spec_terms())
    cohort.set_up()
    cohort.open(PAYLOAD)
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    fixed: list[Survivors] = []
    while cohort.up and not fixed:
        effects = cohort.arrive(*cohort.up.pop(0))
        fixed = [
            Survivors.decode(effect.record.body, 10)
            for effect in effects
            if isinstance(effect, Persist) and effect.record.kind is RecordKind.SERVER_FIXED
        ]
        if fixed:
            kinds = [e.stage if isinstance(e, Send) else "record" for e in effects]
            assert kinds[0] == "record", "nothing leaves before the record"
    cohort.down.clear()  # the kill: Survivors never left
    cohort.up.clear()
    return cohort, fixed[0]


def test_the_record_binds() -> None:
    """The record is the very message that would have left, signed; it alone can be sent again."""
    cohort, fixed = killed_after_fixed()
    fixed.verify(cohort.aggregator.certificate.ik)
    assert fixed.survivors == frozenset(range(10))
    for number in range(10):
        cohort.give(number, Stage.SURVIVORS, fixed.encode())
    hostile = Hostile(cohort)
    assert all(hostile.agreements(number, fixed) for number in range(10))


def test_the_next_epoch_asks_again_and_nobody_revealed() -> None:
    """Killed before Survivors: no share of the old session ever leaves; the sum comes out once."""
    cohort, fixed = killed_after_fixed()
    cohort.server = cohort.new_server(epoch=2)
    cohort.set_up()
    before = len(cohort.server_effects)
    cohort.open(PAYLOAD)
    cohort.pump()
    ended = cohort.outcome(before)
    assert isinstance(ended, Summed)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, range(10)), atol=1e-9)
    for party in cohort.parties:
        answers = party.sent(Stage.UNMASK_RESPONSE)
        assert len(answers) == 1
        assert not answers[0].startswith(fixed.session)
        assert isinstance(party.client.phase, Answered | Done)


def test_another_set_after_the_restart_is_evidence() -> None:
    """An aggregator that forgot its record and fixes another U_r is caught by every device (U4)."""
    hostile = ready_cohort()
    start = hostile.start()
    for number in range(10):
        hostile.give_start(number, start)
        assert isinstance(hostile.cohort.parties[number].client.phase, Sent)
        hostile.give(number, hostile.survivors(start, range(10)))
        hostile.give(number, hostile.survivors(start, [*range(7), number if number > 7 else 7]))
    assert [party.refusals() for party in hostile.cohort.parties[:8]] == [["U4"]] * 8
