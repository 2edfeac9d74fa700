"""Answered payloads and membership over rounds: tests 10, 32, 33 of section 16, and 13.4.

n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8. Device 0 is the one that is asked too often.
"""

from __future__ import annotations

import pytest

from dreamshare_crypto.floor import Floor
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import Persist, RecordKind, Stage
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.phases import Sent
from tests.sim.secagg.federation import make_terms, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile, answer, ready_cohort, refused


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


def answers(hostile: Hostile) -> int:
    return len(hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE))


def test_start_same_payload_after_answer(hostile: Hostile) -> None:
    answer(hostile, 0, PAYLOAD)
    assert answers(hostile) == 1
    refused(hostile, hostile.start(1), "S7")


def test_start_same_payload_after_abort_unanswered(hostile: Hostile) -> None:
    start = hostile.start(0)
    hostile.give_start(0, start)
    hostile.give(0, hostile.abort(start))
    hostile.give_start(0, hostile.start(1))
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


def test_start_same_payload_after_memory_is_over() -> None:
    """30 days later the payload may be asked again; the epoch is another one by then."""
    cohort = Cohort(10, spec_terms())
    cohort.set_up()
    answer(Hostile(cohort), 0, PAYLOAD)
    cohort.now += 30 * 86_400 + 1
    cohort.server = cohort.new_server(epoch=2)
    cohort.set_up()
    later = Hostile(cohort)
    later.give_start(0, later.start(0))
    assert isinstance(cohort.parties[0].client.phase, Sent)


def test_same_payload_two_tasks(hostile: Hostile) -> None:
    answer(hostile, 0, PAYLOAD)
    first = hostile.cohort
    second = Cohort(10, spec_terms(), federation=first.federation, task=b"task-00000000002")
    for party in second.parties:
        memory = next(p.memory for p in first.parties if p.id == party.id)
        party.client = SecaggClient(
            party.identity, second.task, second.floor, party.entropy, memory
        )
    second.set_up()
    refused(Hostile(second), Hostile(second).start(0), "S7")


def test_fourth_draw(hostile: Hostile) -> None:
    for draw in range(3):
        answer(hostile, draw, payload_of("drawn", draw))
    assert answers(hostile) == 3
    fourth = payload_of("drawn", 3)
    refused(hostile, hostile.start(3, payload=fourth), "S7", fourth)


def test_fourth_draw_after_restart(hostile: Hostile) -> None:
    """Answered payloads are in the journal: a restart does not forget them (9.2)."""
    for draw in range(3):
        answer(hostile, draw, payload_of("drawn", draw))
    hostile.cohort.parties[0].restart()
    effects = hostile.give_start(0, hostile.start(3, payload=payload_of("drawn", 3)))
    assert effects[-1].code == "S5"  # the payload handed over is another one
    fourth = payload_of("drawn", 3)
    effects = hostile.give_start(0, hostile.start(3, payload=fourth), fourth)
    assert [effect.code for effect in effects] == ["S7"]


def test_drop_one_and_repeat(hostile: Hostile) -> None:
    """Rounds r and r + 1 with equal payload, survivors differing by one (13.3)."""
    answer(hostile, 0, PAYLOAD, survivors=range(9))
    refused(hostile, hostile.start(1), "S7")


def test_toggle_one(hostile: Hostile) -> None:
    """A device that was left out comes back within the session (13.1)."""
    without_4 = [i for i in range(10) if i != 4]
    answer(hostile, 0, payload_of("first"), active=without_4)
    second = payload_of("second")
    refused(hostile, hostile.start(1, payload=second), "S7", second)


# ---- 13.4: how much the active devices must change -----------------------------------------------


def choosy(least_change: int) -> Hostile:
    """Devices that compare rounds; A_min = 6 leaves room to leave several out."""
    cohort = Cohort(10, make_terms(a_min_ppm=600_000), Floor(least_change=least_change))
    cohort.set_up()
    return Hostile(cohort)


def attempt(hostile: Hostile, r: int, gone: int) -> list[str]:
    """Start round `r` without the last `gone` devices; return what device 0 refused so far."""
    payload = payload_of(f"round {r}")
    hostile.give_start(0, hostile.start(r, active=range(10 - gone), payload=payload), payload)
    return hostile.cohort.parties[0].refusals()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("gone", "codes"), [(0, []), (1, ["S7"]), (2, ["S7"]), (3, []), (4, [])])
def test_least_change(gone: int, codes: list[str], restarted: bool) -> None:
    """m = 3: none, three or more devices may differ from the last answered round."""
    hostile = choosy(3)
    answer(hostile, 0, payload_of("first"))
    if restarted:
        hostile.cohort.parties[0].restart()
    assert attempt(hostile, 1, gone) == codes


def test_least_change_counts_from_the_last_answer() -> None:
    """A round that was not answered moves nothing: 13.4 compares answers, 13.1 commitments."""
    hostile = choosy(3)
    answer(hostile, 0, payload_of("first"))
    assert attempt(hostile, 1, 3) == []  # started, never answered
    assert attempt(hostile, 2, 4) == []


def test_least_change_over_epochs_and_a_dropped_journal() -> None:
    """Ids are compared, so that a new roster without one device is one device's change."""
    hostile = choosy(2)
    answer(hostile, 0, payload_of("first"))
    cohort = hostile.cohort
    party, gone = cohort.parties[0], cohort.parties[9].id
    memory = Memory.from_records(party.journal.records)
    assert memory.last_active(cohort.task) == {p.id for p in cohort.parties}
    cohort.server = cohort.new_server(2, [p.id for p in cohort.parties if p.id != gone])
    cohort.set_up()
    later, payload = Hostile(cohort), payload_of("later")
    later.give_start(0, later.start(0, payload=payload), payload)
    assert party.refusals() == ["S7"]


def test_least_change_is_off_by_default(hostile: Hostile) -> None:
    answer(hostile, 0, payload_of("first"))
    assert attempt(hostile, 1, 1) == []
    assert hostile.cohort.parties[0].memory.last_active(hostile.cohort.task) == frozenset()


def test_the_oldest_answers_are_forgotten_first() -> None:
    """13.3, over the journals of several tasks: by time and not by which was read first."""
    memory = Memory()
    for name, when in (("new", 2.0), ("old", 1.0), ("newest", 3.0)):
        memory.note_answer(payload_of(name).hash, payload_of(name).base_hash, when)
    memory.absorb(())
    memory.forget(0.0, 2)
    kept = [name for name in ("old", "new", "newest") if memory.has_answered(payload_of(name).hash)]
    assert kept == ["new", "newest"]


def test_records_of_a_round(hostile: Hostile) -> None:
    """The journal of a round, and which of its records are synced before what follows (9.1)."""
    party = hostile.cohort.parties[0]
    before = len(party.effects)
    answer(hostile, 0, PAYLOAD)
    persists = [effect for effect in party.effects[before:] if isinstance(effect, Persist)]
    assert [(persist.record.kind, persist.sync) for persist in persists] == [
        (RecordKind.COMMIT, False),
        (RecordKind.VECTOR, True),
        (RecordKind.AGREE, True),
        (RecordKind.ANSWER, True),
        (RecordKind.CLOSED, False),
    ]
