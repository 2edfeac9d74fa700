"""Profile K against a hostile aggregator: items 7, 23, 41 and 42 of docs/protocol.md section 16."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg import epoch_checks
from dreamshare_crypto.secagg.epoch_messages import Roster
from dreamshare_crypto.secagg.events import EndReason, EpochOver, Received, Returned, Stage
from dreamshare_crypto.secagg.phases import Idle, Rostered, Sent, session_of
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import Hostile, dropped, refused
from tests.sim.secagg.regular import regular_cohort, small_graphs


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_graphs():
        yield


@cache
def _ready() -> Cohort:
    cohort = regular_cohort(rounds=3)
    cohort.set_up()
    return cohort


@pytest.fixture
def hostile() -> Hostile:
    """20 devices: k = 8, t = 6, A_min = 16, u_min = 13, 9 witnesses, q = 6."""
    return Hostile(_ready().fork())


def around(hostile: Hostile, number: int = 0) -> tuple[int, ...]:
    return hostile.session.graph.neighbours(number)


# ---- 7 -------------------------------------------------------------------------------------------


def test_start_neighbours_below_t(hostile: Hostile) -> None:
    """17 of 20 are active, which is enough; of the 8 neighbours 5 are, and t = 6."""
    start = hostile.start(active=hostile.everyone - set(around(hostile)[:3]))
    assert len(start.active) >= hostile.session.derived.a_min
    refused(hostile, start, "S4")


def test_start_with_t_neighbours_is_accepted(hostile: Hostile) -> None:
    hostile.give_start(0, hostile.start(active=hostile.everyone - set(around(hostile)[:2])))
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


def test_survivors_neighbours_below_t(hostile: Hostile) -> None:
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, hostile.everyone - set(around(hostile)[:3]))
    assert len(shown.survivors) >= hostile.session.derived.u_min
    hostile.give(0, shown)
    party = hostile.cohort.parties[0]
    assert party.refusals() == ["U3"]
    assert isinstance(party.client.phase, Sent)


# ---- witnesses -----------------------------------------------------------------------------------


def quorum_for(hostile: Hostile, signers: list[int]) -> list[str]:
    """Return what device 0 says to a quorum that `signers` make of a round with everybody."""
    start = hostile.start()
    hostile.give_start(0, start)
    shown = hostile.survivors(start, hostile.everyone)
    hostile.give(0, shown)
    hostile.give(0, hostile.agree_set(shown, sorted(signers)))
    return hostile.cohort.parties[0].refusals()


def test_agree_witnesses_answer(hostile: Hostile) -> None:
    assert quorum_for(hostile, sorted(hostile.session.graph.witnesses)[:6]) == []
    assert hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE)


def test_agree_of_no_witness(hostile: Hostile) -> None:
    """Valid signatures of six devices, one of which is not in the committee."""
    witnesses = sorted(hostile.session.graph.witnesses)
    stranger = next(i for i in range(20) if i not in witnesses)
    assert quorum_for(hostile, [*witnesses[:5], stranger]) == ["Q1"]
    assert not hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE)


def test_agree_of_other_devices(hostile: Hostile) -> None:
    """As many signatures as there are devices outside the committee make no quorum."""
    others = [i for i in range(20) if i not in hostile.session.graph.witnesses]
    assert quorum_for(hostile, others[:6]) == ["Q1"]


# ---- 41, 42 --------------------------------------------------------------------------------------


class Seeded:
    """A cohort whose devices have the roster, and an aggregator that has the nonces."""

    def __init__(self) -> None:
        self.cohort = regular_cohort(rounds=1)
        self.cohort.start()
        self.cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
        session = session_of(self.cohort.parties[0].client.phase)
        assert session is not None
        self.session = session
        self.reveals = tuple(self._reveal(index) for index in session.seeders)

    def _reveal(self, index: int) -> tuple[int, bytes, bytes]:
        reveal = Reveal.decode(self.cohort.parties[index].sent(Stage.REVEAL)[0])
        return index, reveal.nonce, reveal.signature

    def seed(self, reveals: tuple[tuple[int, bytes, bytes], ...]) -> bytes:
        seed = Seed(self.session.roster_digest, reveals)
        return seed.sign(self.cohort.aggregator.signing).encode()

    def says(self, body: bytes) -> list[str]:
        """Return what a device refuses when it is given a seed."""
        self.cohort.give(1, Stage.SEED, body)
        return self.cohort.parties[1].refusals()


def test_seed_with_all_nonces() -> None:
    made = Seeded()
    assert made.says(made.seed(made.reveals)) == []
    client = made.cohort.parties[1].client
    assert isinstance(client.phase, Rostered)
    assert client.session is not None
    assert made.says(made.seed(made.reveals)) == []  # again: nothing


@pytest.mark.parametrize("case", ["seed_with_fewer", "more", "turned", "twice", "another"])
def test_seed_of_other_seeders(case: str) -> None:
    """G1: exactly the seeders, in their order."""
    made = Seeded()
    first, second, third = made.reveals
    other = next(i for i in range(20) if i not in made.session.seeders)
    reveals = {
        "seed_with_fewer": (first, second),
        "more": (first, second, third, (other, *third[1:])),
        "turned": (second, first, third),
        "twice": (first, first, third),
        "another": (first, second, (other, *third[1:])),
    }[case]
    assert made.says(made.seed(reveals)) == ["G1"]
    party = made.cohort.parties[1]
    assert isinstance(party.client.phase, Idle)
    assert EpochOver(EndReason.REFUSED) in party.effects
    assert not party.sent(Stage.SHARES)


def test_wrong_nonce() -> None:
    """G1: a nonce other than the one committed to, even signed by its seeder."""
    made = Seeded()
    index, nonce, _ = made.reveals[0]
    wrong = bytes([nonce[0] ^ 1]) + nonce[1:]
    key = made.cohort.parties[index].identity.signing
    signed = Reveal(made.session.offer_hash, made.session.roster_digest, wrong).sign(key)
    forged = (index, wrong, signed.signature)
    assert made.says(made.seed((forged, *made.reveals[1:]))) == ["G1"]


def test_nonce_that_its_seeder_did_not_sign() -> None:
    made = Seeded()
    index, nonce, signature = made.reveals[0]
    forged = (index, nonce, bytes([signature[0] ^ 1]) + signature[1:])
    assert made.says(made.seed((forged, *made.reveals[1:]))) == ["G1"]


def test_seed_of_nobody() -> None:
    """M2: the aggregator's signature does not hold, or it speaks of another roster."""
    made = Seeded()
    client = made.cohort.parties[1].client
    body = made.seed(made.reveals)
    other = replace(Seed.decode(body), roster_digest=bytes(32))
    elsewhere = other.sign(made.cohort.aggregator.signing).encode()
    for bad in (body[:-1] + bytes([body[-1] ^ 1]), elsewhere):
        assert made.says(bad) == []
    assert client.counts[RefusalCode.M2] == 2
    assert client.session is None


def test_peer_keys_before_the_seed() -> None:
    """Nobody's keys are looked at before the graph says whose they are."""
    made = Seeded()
    assert made.cohort.give(1, Stage.PEER_KEYS, made.session.roster_digest) == ()
    assert made.cohort.parties[1].client.counts[RefusalCode.G1] == 1


def test_nonce_not_committed_to_ends_the_epoch_at_the_aggregator() -> None:
    made = Seeded()
    for index, nonce, _ in made.reveals:
        wrong = bytes([nonce[0] ^ 1]) + nonce[1:]
        key = made.cohort.parties[index].identity.signing
        reveal = Reveal(made.session.offer_hash, made.session.roster_digest, wrong).sign(key)
        made.cohort.arrive(index, Stage.REVEAL, reveal.encode())
    assert made.cohort.server.counts[RefusalCode.G1] == 3
    over = made.cohort.over()
    assert over is not None
    assert over.reason is EndReason.UNSEEDED


def test_ninth_roster_today() -> None:
    """Eight random graphs in 24 hours; the ninth is refused, also after a restart, until one ages.

    The aggregator drops every epoch once it has seen the nonces, to draw a better graph.
    """
    cohort = regular_cohort(rounds=1)
    began = cohort.now
    for epoch in range(1, 10):
        cohort.server = cohort.new_server(epoch)
        cohort.start()
        cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
        said = [party.refusals() for party in cohort.parties]
        assert said == [["G1"] if epoch == 9 else []] * 20
        cohort.now += 60
    for party in cohort.parties:
        party.restart()
    cohort.server = cohort.new_server(10)
    cohort.start()
    cohort.pump()
    assert [party.refusals() for party in cohort.parties] == [["G1", "G1"]] * 20
    cohort.now = began + epoch_checks.DAY_S + 1
    cohort.server = cohort.new_server(11)
    cohort.set_up()
    assert len(cohort.server.members) == 20
    assert [party.refusals() for party in cohort.parties] == [["G1", "G1"]] * 20


def test_the_same_roster_counts_once() -> None:
    made = Seeded()
    cohort = made.cohort
    for party in cohort.parties:
        party.restart()
        cohort.serve(Returned(party.id))
    cohort.pump(lambda number, stage: stage is not Stage.REVEAL)
    assert {party.memory.other_graphs(b"", 0.0) for party in cohort.parties} == {1}


def test_graph_named_by_server(hostile: Hostile) -> None:
    """42: no message names neighbours or witnesses; a list of them behind any message is M1."""
    named = b"".join(i.to_bytes(4, "little") for i in range(8))
    made = Seeded()
    client = made.cohort.parties[1].client
    made.cohort.give(1, Stage.SEED, made.seed(made.reveals) + named)
    assert client.counts[RefusalCode.M1] == 1
    assert client.session is None
    made.cohort.give(1, Stage.SEED, made.seed(made.reveals))
    made.cohort.give(1, Stage.PEER_KEYS, made.session.roster_digest + bytes(8 * 32) + named)
    assert client.counts[RefusalCode.M1] == 2
    dropped(hostile, Stage.ROUND_START, hostile.start().encode() + named, "M1")


def test_a_roster_of_profile_k_in_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.2: fewer than 129 devices have no random graph (R2)."""
    cohort = regular_cohort()
    cohort.start()
    cohort.pump(lambda number, stage: stage is not Stage.ROSTER)
    roster = next(
        send.body for send in cohort.server_effects if getattr(send, "stage", None) is Stage.ROSTER
    )
    assert len(Roster.decode(roster).entries) == 20
    monkeypatch.setattr("dreamshare_crypto.graph.LARGEST_COMPLETE", 128)
    monkeypatch.setattr(cohort, "once", None)
    cohort.parties[0].restart()  # a process of its own
    cohort.parties[0].client.handle(Received(Stage.ROSTER, roster), cohort.now)
    assert cohort.parties[0].client.counts[RefusalCode.R2] == 1
