"""A journal that cannot be right ends the session (J1); what a device remembers beyond it (9.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    EndReason,
    EpochOver,
    Forget,
    Record,
    RecordKind,
    Refuse,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.phases import Idle
from dreamshare_crypto.secagg.vault import Vault
from dreamshare_crypto.secret import Secret
from tests.sim.secagg.federation import TASK, payload_of
from tests.sim.secagg.harness import Cohort, Journal, Party
from tests.sim.secagg.hostile import Hostile, answer, ready_cohort


@pytest.fixture
def hostile() -> Hostile:
    """Device 0 has answered a round, which is not closed yet."""
    hostile = ready_cohort()
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, range(10))
    hostile.give(0, shown)
    hostile.give(0, hostile.agree_set(shown, range(6)))
    return hostile


def at(journal: Journal, kind: RecordKind) -> int:
    return next(i for i, record in enumerate(journal.records) if record.kind is kind)


def repeat(kind: RecordKind) -> Callable[[Journal], None]:
    def change(journal: Journal) -> None:
        journal.records.append(journal.records[at(journal, kind)])

    return change


def drop(kind: RecordKind) -> Callable[[Journal], None]:
    def change(journal: Journal) -> None:
        del journal.records[at(journal, kind)]

    return change


def damage(kind: RecordKind) -> Callable[[Journal], None]:
    def change(journal: Journal) -> None:
        place = at(journal, kind)
        record = journal.records[place]
        journal.records[place] = Record(kind, record.body[:-1])

    return change


def lose_chain(journal: Journal) -> None:
    del journal.slots["chain"]


def other_chain(journal: Journal) -> None:
    journal.slots["chain"] = Secret(b"nonsense")


def chain_of_another_session(journal: Journal) -> None:
    position = journal.slots["chain"].reveal()[:4]
    journal.slots["chain"] = Secret(position + bytes(32))


def chain_beyond_the_last_round(journal: Journal) -> None:
    journal.slots["chain"] = Secret(b"\xff\0\0\0" + journal.slots["chain"].reveal()[4:])


def foreign_record(journal: Journal) -> None:
    journal.records.append(Record(RecordKind.SERVER_DONE, b"an aggregator's"))


def foreign_record_before_a_round(journal: Journal) -> None:
    del journal.records[at(journal, RecordKind.COMMIT) :]
    foreign_record(journal)


CONTRADICTIONS = {
    **{f"repeated {k.name}": repeat(k) for k in RecordKind if RecordKind.ROSTER <= k <= 9},
    **{f"missing {k.name}": drop(k) for k in (2, 3, 4, 6, 7, 8) for k in (RecordKind(k),)},
    **{f"damaged {k.name}": damage(k) for k in RecordKind if RecordKind.ROSTER <= k <= 8},
    "chain lost": lose_chain,
    "chain of another kind": other_chain,
    "chain of another session": chain_of_another_session,
    "chain beyond the last round": chain_beyond_the_last_round,
    "record of an aggregator": foreign_record,
    "record of an aggregator, no round": foreign_record_before_a_round,
}
del CONTRADICTIONS["repeated SEED_ERASED"]  # says the same thing twice


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradicted_journal(hostile: Hostile, name: str) -> None:
    party = hostile.cohort.parties[0]
    CONTRADICTIONS[name](party.journal)
    party.effects.clear()
    party.restart()
    assert isinstance(party.client.phase, Idle)
    assert party.client.deadline == 0.0
    effects = party.handle(Ticked(), hostile.cohort.now)
    assert isinstance(effects[0], Refuse)
    assert effects[0].code == "J1"
    assert effects[-1] == EpochOver(EndReason.ROLLED_BACK)
    assert "chain" not in party.journal.slots
    assert party.client.deadline is None
    assert party.sent(Stage.UNMASK_RESPONSE) == []
    party.restart()
    assert party.handle(Ticked(), hostile.cohort.now) == ()


def test_unreadable_epoch_record(hostile: Hostile) -> None:
    """Without the offer not even the epoch's number is known: the caller has to decide."""
    party = hostile.cohort.parties[0]
    damage(RecordKind.EPOCH)(party.journal)
    with pytest.raises(MalformedError):
        party.restart()


def test_ended_journal_destroys_what_is_left(hostile: Hostile) -> None:
    """Killed between ENDED and the erasure: the keys go at the next start (9.4)."""
    party = hostile.cohort.parties[0]
    chain = party.journal.slots["chain"]
    hostile.give(0, hostile.survivors(hostile.start(), range(9)))  # evidence: ends the epoch
    party.journal.slots["chain"] = chain
    party.restart()
    assert isinstance(party.client.phase, Idle)
    assert party.handle(Ticked(), hostile.cohort.now) == (Forget("chain"),)


@pytest.mark.parametrize("whose", ["task", "identity"])
def test_journal_of_somebody_else(hostile: Hostile, whose: str) -> None:
    """A journal that belongs to another task or another device is not continued (J1)."""
    party, other = hostile.cohort.parties[0], hostile.cohort.parties[1]
    client = SecaggClient.restore(
        other.identity if whose == "identity" else party.identity,
        b"another task  16" if whose == "task" else TASK,
        party.floor,
        party.entropy,
        party.journal.records,
        party.journal.slots,
    )
    assert client.handle(Ticked(), hostile.cohort.now)[-1] == EpochOver(EndReason.ROLLED_BACK)


def test_empty_journal(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    party.journal = Journal()
    party.restart()
    assert isinstance(party.client.phase, Idle)
    assert party.client.deadline is None


def test_seed_lost_before_shares() -> None:
    """An epoch whose seed is gone cannot go on (J1)."""
    cohort = Cohort(3)
    cohort.start()
    cohort.give(*cohort.down.pop(0))
    party: Party = next(p for p in cohort.parties if p.journal.records)
    del party.journal.slots["seed-wrap"]
    party.restart()
    assert isinstance(party.client.phase, Idle)
    assert party.handle(Ticked(), cohort.now)[-1] == EpochOver(EndReason.ROLLED_BACK)


# ---- memory --------------------------------------------------------------------------------------


def test_memory_is_what_the_journal_says(hostile: Hostile) -> None:
    """Only EPOCH and ANSWER records are needed of a session that is over."""
    party = hostile.cohort.parties[0]
    kept = [r for r in party.journal.records if r.kind in (RecordKind.EPOCH, RecordKind.ANSWER)]
    memory = Memory.from_records(kept)
    payload = hostile.start().payload_hash
    assert memory.has_answered(payload)
    assert party.memory.has_answered(payload)
    assert memory.highest_epoch(hostile.cohort.federation.id, TASK) == 1
    assert memory.revocation_number(hostile.cohort.federation.id) == 1
    memory.absorb(kept)
    assert memory.draws(payload_of("the dreams of cycle 0").base_hash) == 1


def test_memory_forgets_by_age_and_by_number() -> None:
    memory = Memory()
    for i in range(5):
        memory.note_answer(bytes([i]) * 32, b"base" * 8, float(i))
    memory.forget(before=2.0, size=100)
    assert [memory.has_answered(bytes([i]) * 32) for i in range(5)] == [False] * 2 + [True] * 3
    assert memory.draws(b"base" * 8) == 3
    memory.forget(before=0.0, size=1)
    assert [memory.has_answered(bytes([i]) * 32) for i in range(5)] == [False] * 4 + [True]
    memory.forget(before=10.0, size=1)
    assert memory.draws(b"base" * 8) == 0


def test_memory_of_one_device_is_shared(hostile: Hostile) -> None:
    """Restoring one task's client adds to the memory that another task's client uses."""
    party = hostile.cohort.parties[0]
    memory = Memory()
    SecaggClient.restore(
        party.identity,
        TASK,
        party.floor,
        party.entropy,
        party.journal.records,
        party.journal.slots,
        memory,
    )
    assert memory.has_answered(hostile.start().payload_hash)


def test_chain_goes_forward_only() -> None:
    vault = Vault.create(b"s" * 32, Secret(b"c" * 32), ())
    assert vault.advance(0) == vault
    with pytest.raises(ParameterError):
        vault.advance(1)


def test_answered_journal_of_a_closed_round() -> None:
    hostile = ready_cohort()
    answer(hostile, 0)
    party = hostile.cohort.parties[0]
    party.restart()
    assert party.handle(Ticked(), hostile.cohort.now) == ()
