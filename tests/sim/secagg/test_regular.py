"""Profile K with honest parties: sums over random graphs, dropouts, returns, crashes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamshare_crypto.secagg.events import (
    ClientEffect,
    ClientInput,
    EndReason,
    Left,
    Persist,
    RecordKind,
    Returned,
    RoundAbandoned,
    Send,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.phases import Ready, Rostered, session_of
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.secagg.session import Session
from tests.sim.secagg.federation import Federation, payload_of
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.regular import ALLOWED, SMALL, regular_cohort, regular_terms, small_graphs
from tests.sim.secagg.test_crash import Killed, check_nothing_said_twice


@pytest.fixture
def small() -> Iterator[None]:
    with small_graphs():
        yield


def session(cohort: Cohort) -> Session:
    found = [session_of(party.client.phase) for party in cohort.parties]
    return next(each for each in found if each is not None)


def check_sum(cohort: Cohort, ended: object, members: list[int]) -> None:
    assert isinstance(ended, Summed)
    assert ended.survivors == tuple(cohort.parties[i].id for i in members)
    truth = cohort.expected_sum(ended.round, members)
    np.testing.assert_allclose(ended.sums[0], truth, atol=1e-9)


# ---- the real thing ------------------------------------------------------------------------------


def test_129_devices_with_somebody_lost_at_every_stage() -> None:
    """131 advertise of 132, 130 deal, 129 are ready: A_min = ceil(0.9 * 131) = 118."""
    cohort = regular_cohort(132, rounds=2, delta_ppm=100_000)
    lost = {(0, Stage.ADVERTISE), (1, Stage.SHARES), (2, Stage.READY), (3, Stage.MASKED_INPUT)}
    lost |= {(number, Stage.UNMASK_RESPONSE) for number in (4, 5)}
    cohort.set_up(lambda number, stage: (number, stage) not in lost)
    assert cohort.server.phase is ServerPhase.READY
    assert [cohort.number[member] for member in cohort.server.members] == list(range(3, 132))
    ended = cohort.run_round(lambda number, stage: (number, stage) not in lost)
    check_sum(cohort, ended, list(range(4, 132)))
    check_sum(cohort, cohort.run_round(), list(range(3, 132)))
    derived = session(cohort).derived
    assert (derived.a_min, derived.k % 2, derived.seeders) == (118, 0, 24)
    assert not any(party.refusals() or party.evidence() for party in cohort.parties[3:])
    assert cohort.server.counts == {}


def test_neighbours_alone_hold_shares_and_witnesses_alone_sign(small: None) -> None:
    cohort = regular_cohort()
    cohort.set_up()
    cohort.run_round()
    facts = session(cohort)
    signed = [i for i, party in enumerate(cohort.parties) if party.sent(Stage.AGREE)]
    assert set(signed) == facts.graph.witnesses
    assert len(signed) == 9
    for i, party in enumerate(cohort.parties):
        phase = party.client.phase
        assert phase.member.vault.open(1).shares.keys() == set(facts.graph.neighbours(i))
        assert len(phase.member.session.keys) == 1 + 8
        (reply,) = party.sent(Stage.UNMASK_RESPONSE)
        assert len(reply) == 32 + 4 + 32 + 1 + 8 * 32 + 64  # one share for each neighbour


def test_everybody_computes_one_graph_from_the_seeders_nonces(small: None) -> None:
    cohort = regular_cohort()
    cohort.set_up()
    revealed = [i for i, party in enumerate(cohort.parties) if party.sent(Stage.REVEAL)]
    assert sorted(session(cohort).seeders) == revealed
    assert len({party.client.session for party in cohort.parties}) == 1
    other = Cohort(SMALL, regular_terms(), ALLOWED, Federation(b"another federation"))
    other.set_up()
    assert session(other).seed != session(cohort).seed


# ---- sums over any graph -------------------------------------------------------------------------


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.binary(min_size=8, max_size=8), data=st.data())
def test_the_sum_of_any_survivors_that_leave_enough(
    small: None, seed: bytes, data: st.DataObject
) -> None:
    """70, over graphs: masks cancel and open, whoever drops out, where each secret has t holders.

    Otherwise the round is given up. Two rounds: who stayed away from the first is back.
    """
    cohort = Cohort(SMALL, regular_terms(rounds=2), ALLOWED, Federation(seed))
    cohort.set_up()
    graph, t = session(cohort).graph, session(cohort).derived.t
    numbers = st.sets(st.integers(0, SMALL - 1), max_size=5)
    for r in range(2):
        away = data.draw(numbers, label=f"away in round {r}")
        silent = {(i, Stage.MASKED_INPUT) for i in away}
        ended = cohort.run_round(
            lambda number, stage, silent=silent: (number, stage) not in silent,
            payload=payload_of(f"round {r}"),
        )
        left = set(range(SMALL)) - away
        answers = {i for i in left if len(left & set(graph.holders(i))) >= t}
        needed = [i for i in range(SMALL) if left & set(graph.holders(i)) or i in left]
        if all(len(answers & set(graph.holders(i))) >= t for i in needed) and (
            len(answers & graph.witnesses) >= 6
        ):
            check_sum(cohort, ended, sorted(left))
        else:
            assert isinstance(ended, RoundAbandoned)
        if cohort.over():
            return


# ---- seeding -------------------------------------------------------------------------------------


def test_seeder_withheld(small: None) -> None:
    """41: without every nonce there is no graph, and the epoch ends."""
    cohort = regular_cohort()
    cohort.start()
    revealed: list[int] = []

    def keeps(number: int, stage: Stage) -> bool:
        revealed.extend([number] if stage is Stage.REVEAL else [])
        return stage is not Stage.REVEAL or len(revealed) > 1

    cohort.pump(keeps)
    assert cohort.server.phase is ServerPhase.ROSTERED
    assert len(revealed) == 3
    assert all(party.client.session is None for party in cohort.parties)
    cohort.pass_deadline()
    over = cohort.over()
    assert over is not None
    assert over.reason is EndReason.UNSEEDED
    assert not any(party.sent(Stage.SHARES) for party in cohort.parties)


def test_who_returns_while_the_graph_is_seeded_takes_part(small: None) -> None:
    cohort = regular_cohort()
    cohort.start()
    cohort.pump(lambda n, stage: stage is not Stage.REVEAL and (n, stage) != (5, Stage.ROSTER))
    cohort.serve(Left(cohort.parties[5].id))
    cohort.serve(Returned(cohort.parties[5].id))
    cohort.pump()
    assert isinstance(cohort.parties[5].client.phase, Rostered)
    for number, party in enumerate(cohort.parties):
        for body in party.sent(Stage.REVEAL):
            cohort.arrive(number, Stage.REVEAL, body)
    cohort.pump()
    assert cohort.server.phase is ServerPhase.READY
    assert len(cohort.server.members) == SMALL
    rosters = [e for e in cohort.server_effects if isinstance(e, Send) and e.stage is Stage.ROSTER]
    assert sum(len(send.to) for send in rosters) == SMALL + 1  # once each, and once more to 5


def test_late_for_the_seed_is_sent_everything(small: None) -> None:
    cohort = regular_cohort()
    cohort.start()
    away = {Stage.SEED, Stage.PEER_KEYS}
    cohort.pump(lambda number, stage: not (number == 5 and stage in away))
    cohort.parties[5].restart()
    cohort.serve(Returned(cohort.parties[5].id))
    cohort.pump()
    assert isinstance(cohort.parties[5].client.phase, Ready)
    assert cohort.server.phase is ServerPhase.READY


# ---- crashes -------------------------------------------------------------------------------------


class DyingCohort(Cohort):
    """A cohort of which every third device dies once after each kind of effect, and of sends."""

    kills = 0

    def carry_out(self, number: int, effect: ClientEffect) -> None:
        super().carry_out(number, effect)
        died = self.__dict__.setdefault("died", set())
        match effect:
            case Send(stage):
                cause = (number, stage)
            case Persist(record):
                cause = (number, record.kind)
            case _:
                cause = (number, type(effect))
        if number % 3 == 2 and cause not in died:
            died.add(cause)
            raise Killed

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        try:
            return super().tell(number, event)
        except Killed:
            self.kills += 1
            self.parties[number].restart()
            self.tell(number, Ticked())
            self.serve(Returned(self.parties[number].id))
            return ()


def test_killed_after_each_kind_of_effect(small: None) -> None:
    """Seeders, witnesses and others get through; what leaves twice is the same."""
    cohort = regular_cohort(cls=DyingCohort, rounds=2)
    cohort.set_up()
    silent = {(7, Stage.MASKED_INPUT), (8, Stage.MASKED_INPUT)}
    first = cohort.run_round(payload=payload_of("first"))
    second = cohort.run_round(
        lambda number, stage: (number, stage) not in silent, payload=payload_of("second")
    )
    check_sum(cohort, first, list(range(SMALL)))
    check_sum(cohort, second, [i for i in range(SMALL) if i not in (7, 8)])
    facts = session(cohort)
    assert set(facts.seeders) & {2, 5, 8, 11, 14, 17}
    assert facts.graph.witnesses & {2, 5, 8, 11, 14, 17}
    assert cohort.kills > 80
    for party in cohort.parties:
        check_nothing_said_twice(party)
        assert not party.evidence()


def test_the_journal_has_the_draw_before_the_nonce_leaves(small: None) -> None:
    cohort = regular_cohort()
    cohort.set_up()
    kinds = [record.kind for record in cohort.parties[0].journal.records]
    assert kinds == [
        RecordKind.EPOCH,
        RecordKind.DRAWN,
        RecordKind.ROSTER,
        RecordKind.SEEDED,
        RecordKind.SESSION_SID,
        RecordKind.SESSION,
        RecordKind.SEED_ERASED,
    ]


def test_a_crash_between_draw_and_roster_costs_no_draw(small: None) -> None:
    cohort = regular_cohort()
    cohort.start()
    cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
    party = cohort.parties[0]
    assert party.journal.records[-1].kind is RecordKind.ROSTER
    party.journal.records.pop()
    party.restart()
    cohort.serve(Returned(party.id))
    cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
    assert isinstance(party.client.phase, Rostered)
    assert party.memory.other_graphs(b"any", 0.0) == 1
    party.restart()
    assert isinstance(party.client.phase, Rostered)
