"""A device killed at every single effect: tests 56 to 58, 60 and 62 of docs/protocol.md section 16.

The victim is killed after its k-th effect, for every k of the whole run, and started again from
what is on its disk at that moment. What was not carried out is lost, the message it was handling
too; the aggregator only learns that the device is back. The run must go on as if nothing had
happened, and whatever leaves the victim twice must be the same bytes.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import (
    ClientEffect,
    ClientInput,
    Compute,
    Computed,
    Persist,
    Received,
    RecordKind,
    Returned,
    Send,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.phases import Agreed, Committed, Done, Ready, Sent
from dreamshare_crypto.secagg.records import SessionRecord
from dreamshare_crypto.secagg.vault import Vault
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.harness import Cohort, Party
from tests.sim.secagg.hostile import PAYLOAD, Hostile, answer, ready_cohort

VICTIM = 1

TERMS = {
    Mode.AGREED: make_terms(rounds=3),
    # n = 4, a = 1, t = 3, A_min = 4, d = 1: E = 4 - floor(3 * 1 / 2) = 3
    Mode.BOUNDED: make_terms(rounds=3, mode=Mode.BOUNDED, a_min_ppm=1_000_000, d_ppm=250_000),
}


class Killed(Exception):
    """The process is gone."""


class CrashingCohort(Cohort):
    """A cohort whose victim dies after each effect whose number is in `kill_after`."""

    def __init__(self, mode: Mode, kill_after: frozenset[int]) -> None:
        super().__init__(4, TERMS[mode])
        self.kill_after = kill_after
        self.done = 0
        self.kills = 0

    def carry_out(self, number: int, effect: ClientEffect) -> None:
        super().carry_out(number, effect)
        if number == VICTIM:
            self.done += 1
            if self.done in self.kill_after:
                raise Killed

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        try:
            return super().tell(number, event)
        except Killed:
            self.kills += 1
            self.parties[VICTIM].restart()
            self.tell(VICTIM, Ticked())
            self.serve(Returned(self.parties[VICTIM].id))
            return ()


def run(cohort: Cohort) -> list[object]:
    """Set an epoch up and run two rounds; in the second, device 3 sends no vector."""
    cohort.set_up()
    first = cohort.run_round(payload=payload_of("first"))
    second = cohort.run_round(
        lambda number, stage: (number, stage) != (3, Stage.MASKED_INPUT),
        payload=payload_of("second"),
    )
    return [first, second]


def effects_of_a_run(mode: Mode) -> int:
    cohort = CrashingCohort(mode, frozenset())
    run(cohort)
    return cohort.done


KILLS = [(mode, at) for mode in Mode for at in range(1, effects_of_a_run(mode) + 1)]


def check_nothing_said_twice(party: Party) -> None:
    """56, 57, 58: per stage and (session or offer, round), one message, however often it left."""
    said = defaultdict(set)
    for effect in party.effects:
        if not isinstance(effect, Send):
            continue
        rounds = effect.stage in (Stage.MASKED_INPUT, Stage.AGREE, Stage.UNMASK_RESPONSE)
        name = effect.body[: 36 if rounds else 32]  # sid and r; or ho, or sid
        said[effect.stage, name].add(effect.body)
    assert all(len(bodies) == 1 for bodies in said.values())


def check_outcome(cohort: Cohort, ended: list[object]) -> None:
    members = [[0, 1, 2, 3], [0, 1, 2]]
    for round_, (outcome, expected) in enumerate(zip(ended, members, strict=True)):
        assert isinstance(outcome, Summed)
        assert outcome.survivors == tuple(cohort.parties[i].id for i in expected)
        truth = cohort.expected_sum(round_, expected)
        np.testing.assert_allclose(outcome.sums[0], truth, atol=1e-9)


@pytest.mark.parametrize(("mode", "at"), KILLS)
def test_killed_after_effect(mode: Mode, at: int) -> None:
    cohort = CrashingCohort(mode, frozenset({at}))
    ended = run(cohort)
    assert cohort.kills == 1
    check_nothing_said_twice(cohort.parties[VICTIM])
    check_outcome(cohort, ended)
    assert not any(party.evidence() for party in cohort.parties)
    assert cohort.server.counts == {}


@pytest.mark.parametrize("mode", Mode)
def test_killed_after_every_effect(mode: Mode) -> None:
    """A device that dies after each single effect still gets through, as the disk only grows."""
    cohort = CrashingCohort(mode, frozenset(range(1, 1000)))
    ended = run(cohort)
    check_nothing_said_twice(cohort.parties[VICTIM])
    check_outcome(cohort, ended)


def kinds(party: Party) -> list[RecordKind]:
    return [record.kind for record in party.journal.records]


# ---- a hostile aggregator around the crash -------------------------------------------------------


def round_effects() -> int:
    hostile = ready_cohort()
    answer(hostile, 0)
    return len(hostile.cohort.parties[0].effects)


@pytest.mark.parametrize("at", range(round_effects() + 1))
def test_other_content_after_crash(at: int) -> None:
    """56, 57: killed after `at` effects, then asked for the same round in another way."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]

    def give(stage: Stage, body: bytes) -> None:
        event = Received(stage, body, PAYLOAD if stage is Stage.ROUND_START else None)
        hostile.cohort.tell(0, event)

    def script(start, chosen) -> list[tuple[Stage, bytes]]:
        shown = hostile.survivors(start, chosen)
        return [
            (Stage.ROUND_START, start.encode()),
            (Stage.SURVIVORS, shown.encode()),
            (Stage.AGREE_SET, hostile.agree_set(shown, range(6)).encode()),
            (Stage.ROUND_RESULT, hostile.result(shown).encode()),
        ]

    dying = Dying(hostile, at)
    for stage, body in script(hostile.start(), range(9)):
        if not dying.killed:
            dying.give(stage, body)
    party.restart()
    for stage, body in script(hostile.start(), range(10)):  # the same round, other survivors
        give(stage, body)
    for stage, body in script(hostile.start(active=range(9)), range(9)):  # another content
        give(stage, body)
    check_nothing_said_twice(party)


class Dying:
    """Hands messages to device 0 and stops carrying effects out after the `at`-th."""

    def __init__(self, hostile: Hostile, at: int) -> None:
        self.hostile = hostile
        self.left = at
        self.killed = at == 0

    def give(self, stage: Stage, body: bytes) -> None:
        cohort = self.hostile.cohort
        party = cohort.parties[0]
        pending: list[ClientInput] = [
            Received(stage, body, PAYLOAD if stage is Stage.ROUND_START else None)
        ]
        while pending and not self.killed:
            for effect in party.client.handle(pending.pop(0), cohort.now):
                if self.left == 0:
                    self.killed = True
                    return
                self.left -= 1
                party.carry_out(effect)
                pending += self._computed(effect)

    def _computed(self, effect: ClientEffect) -> list[ClientInput]:
        if not isinstance(effect, Compute):
            return []
        fields, weight = self.hostile.cohort.update_of(0, effect.round, effect.params)
        return [Computed(effect.round, fields, weight)]


# ---- 60, 62: what the disk says ------------------------------------------------------------------


@pytest.mark.parametrize("closes", ["answered", "aborted", "left behind"])
def test_closed_rounds_cannot_be_opened(closes: str) -> None:
    """60: store plus current chain key decrypts no secret of a closed round."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start(0))
    match closes:
        case "answered":
            shown = hostile.survivors(hostile.start(0), range(10))
            hostile.give(0, shown)
            hostile.give(0, hostile.agree_set(shown, range(6)))
        case "aborted":
            hostile.give(0, hostile.abort(hostile.start(0)))
        case _:
            later = payload_of("later")
            hostile.give_start(0, hostile.start(1, payload=later), later)
    sealed = next(
        SessionRecord.decode(record.body).sealed
        for record in party.journal.records
        if record.kind is RecordKind.SESSION
    )
    vault = Vault.restore(hostile.session.sid, sealed, party.journal.slots["chain"])
    assert vault.position == 1
    with pytest.raises(ParameterError):
        vault.open(0)
    with pytest.raises(AuthenticationError):
        Vault(vault.session, sealed, 0, vault.chain).open(0)
    assert vault.open(1) == vault.advance(1).open(1)


def test_torn_record() -> None:
    """62: without its last record the journal gives the state before it; the chain may be ahead."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start())
    hostile.give(0, hostile.survivors(hostile.start(), range(10)))
    for expected in (Agreed, Sent, Committed, Ready):
        party.restart()
        assert isinstance(party.client.phase, expected)
        party.journal.records.pop()


def test_lost_commit_with_chain_ahead() -> None:
    """COMMIT needs no sync of its own: a chain that moved says that the older round is over."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start(0))
    later = payload_of("later")
    start = hostile.start(1, payload=later)
    party.handle(Received(Stage.ROUND_START, start.encode(), later), hostile.cohort.now)
    assert kinds(party)[-1] is RecordKind.COMMIT
    party.journal.records.pop()
    party.restart()
    assert isinstance(party.client.phase, Done)
    shown = hostile.survivors(hostile.start(0), range(10))
    assert hostile.give(0, shown) == ()
    hostile.give_start(0, start, later)
    assert isinstance(party.client.phase, Sent)
    check_nothing_said_twice(party)


def test_restart_while_computing_asks_again() -> None:
    """Between COMMIT and VECTOR the same round is computed anew, to the same vector (12.6)."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start())
    vector = party.sent(Stage.MASKED_INPUT)[0]
    assert isinstance(party.effects[-2], Persist)
    party.journal.records.pop()
    party.restart()
    assert isinstance(party.client.phase, Committed)
    hostile.give_start(0, hostile.start())
    assert party.sent(Stage.MASKED_INPUT) == [vector, vector]
