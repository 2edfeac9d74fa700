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
from dreamshare_crypto.errors import AuthenticationError, ParameterError, RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.secagg import epoch_checks, joining, round_checks, rounds
from dreamshare_crypto.secagg.events import (
    Received,
    RecordKind,
    RoundAbandoned,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.phases import Advertised, Rostered, Sent, Shared, session_of
from dreamshare_crypto.secagg.records import SessionRecord
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import Survivors, UnmaskResponse
from dreamshare_crypto.secagg.vault import RoundSecrets, Vault
from tests.sim.secagg.attacks import (
    ask,
    bare_by_both_kinds,
    collect,
    collude,
    open_sum,
    opened,
    show,
)
from tests.sim.secagg.federation import make_terms, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort, Party
from tests.sim.secagg.hostile import PAYLOAD, Hostile, ready_cohort

OTHER = payload_of("another plan")


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


def nothing(*_: object) -> None:
    """The check that is not there."""


def start_all(hostile: Hostile, start: RoundStart) -> None:
    for number in sorted(start.active):
        hostile.give_start(number, start)


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


# ---- U4, 9.5: one set, once ----------------------------------------------------------------------


def without_u4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget which set a device stands by, whenever it is shown one."""
    take = rounds.take_survivors

    def forgetful(device, phase, body, now):
        if isinstance(phase, rounds.Agreed | rounds.Answered):
            phase = Sent(phase.member, phase.commitment, phase.masked)
        return take(device, phase, body, now)

    monkeypatch.setattr(rounds, "take_survivors", forgetful)


def without_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    """9.3, 9.5: the chain stays where it is."""
    monkeypatch.setattr(rounds, "move_chain", lambda member, r: (member, ()))


def two_quorums(hostile: Hostile) -> list[Survivors]:
    """Show everybody all ten as survivors, then nine; return the sets that six devices signed."""
    start = hostile.start()
    start_all(hostile, start)
    everybody = show(hostile, start, range(10), range(10))
    nine = show(hostile, start, range(1, 10), range(1, 10))
    signed = []
    for shown in (everybody, nine):
        survivors = next(iter(shown.values()))
        honest = [i for i in shown if hostile.agreements(i, survivors) is not None]
        signed += [survivors] if len(honest) >= 6 else []
    return signed


def test_needs_u4(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it (rctx, U_r) is not unique among those who reveal (section 7)."""
    assert len(two_quorums(hostile)) == 1
    assert hostile.cohort.parties[1].refusals() == ["U4"]
    without_u4(monkeypatch)
    assert len(two_quorums(ready_cohort())) == 2


def both_kinds_in_turn(hostile: Hostile) -> np.ndarray | None:
    """Have all ten reveal for U = all, then nine of them for U without device 0."""
    start = hostile.start()
    start_all(hostile, start)
    rights: list[dict[int, dict[int, bytes]]] = []
    for chosen in (range(10), range(1, 10)):
        shown = show(hostile, start, chosen, chosen)
        ask(hostile, shown)
        shares: dict[int, dict[int, bytes]] = {}
        for i in chosen:
            bodies = hostile.cohort.parties[i].sent(Stage.UNMASK_RESPONSE)
            if len(bodies) == len(rights) + 1:
                shares[i] = dict(hostile.shares_of(bodies[-1], start))
        rights.append(shares)
    s = hostile.reconstruct({i: shares[0] for i, shares in rights[0].items()})
    p = hostile.reconstruct({i: shares[0] for i, shares in rights[1].items()})
    assert s is not None
    return None if p is None else bare_by_both_kinds(hostile, 0, start, s, p)


@pytest.mark.parametrize("out", ["nothing", "u4", "erasure"])
def test_both_kinds_in_turn_fails(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """U4 stops it where nothing is erased, S7 and the erasure where a device forgets its set."""
    if out == "u4":
        without_u4(monkeypatch)
    if out == "erasure":
        without_erasure(monkeypatch)
    assert both_kinds_in_turn(ready_cohort()) is None


def test_both_kinds_in_turn_finds_nothing(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With U4 and S7 out, the round's secrets are gone and cannot be opened again."""
    without_u4(monkeypatch)
    monkeypatch.setattr(round_checks, "check_start_fresh", nothing)
    with pytest.raises(ParameterError):
        both_kinds_in_turn(hostile)


def test_both_kinds_in_turn_without_both(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without U4, S7 and erasure: device 0's vector, bare."""
    without_u4(monkeypatch)
    without_erasure(monkeypatch)
    monkeypatch.setattr(round_checks, "check_start_fresh", nothing)
    bare = both_kinds_in_turn(hostile)
    assert bare is not None
    np.testing.assert_allclose(bare, hostile.cohort.parties[0].vectors[0][0], atol=1e-9)


def left_on_disk() -> RoundSecrets | None:
    """Return what a thief of the disk reads of round 0 once round 1 has begun."""
    hostile = ready_cohort()
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start(0))
    hostile.give_start(0, hostile.start(1, payload=OTHER), OTHER)
    sealed = next(
        SessionRecord.decode(record.body).sealed
        for record in party.journal.records
        if record.kind is RecordKind.SESSION
    )
    stolen = Vault.restore(hostile.session.sid, sealed, party.journal.slots["chain"])
    try:
        return stolen.open(0)
    except (ParameterError, AuthenticationError):
        return None


def test_needs_9_5(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_on_disk() is None
    without_erasure(monkeypatch)
    assert left_on_disk() is not None


# ---- 7.7 (U1): who has sent, and for what --------------------------------------------------------


@pytest.fixture
def six() -> Hostile:
    """n = 6, a = 1, t = q = u_min = A_min = 4; device 5 colludes."""
    hostile = ready_cohort(6, make_terms())
    derived = hostile.session.derived
    assert (derived.a, derived.t, derived.q, derived.u_min, derived.a_min) == (1, 4, 4, 4, 4)
    return hostile


def reveal_for_another_context(six: Hostile) -> RoundStart | None:
    """Device 0 runs {0, 1, 2, 5}, the others all six; U = {0, 3, 4, 5} leaves 1 and 2 out.

    Were device 0 to sign and to reveal for the others' context, its shares and those of 3, 4 and 5
    would open s of itself and p of 1 and 2: every mask on its own vector.
    """
    lonely, common = six.start(active=[0, 1, 2, 5]), six.start()
    six.give_start(0, lonely)
    for number in (1, 2, 3, 4):
        six.give_start(number, common)
    shown = show(six, common, [0, 3, 4, 5], [0, 3, 4])
    ask(six, shown, colluders=[5])
    return lonely if six.cohort.parties[0].sent(Stage.UNMASK_RESPONSE) else None


def reveal_without_vector(hostile: Hostile) -> bool:
    """Show device 0, whose vector is in another context, the survivors of the common one."""
    common = hostile.start(payload=OTHER)
    hostile.give_start(0, hostile.start())
    for number in range(1, 10):
        hostile.give_start(number, common, OTHER)
    ask(hostile, show(hostile, common, range(10), range(10)))
    return bool(hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE))


def test_needs_7_7(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device answers nothing for a round context in which it sent no vector."""
    assert not reveal_without_vector(hostile)
    assert hostile.cohort.parties[0].client.counts[RefusalCode.U1] == 2
    monkeypatch.setattr(round_checks, "check_survivors_round", nothing)
    assert reveal_without_vector(ready_cohort())


@pytest.mark.parametrize("out", ["check_survivors_within", "check_survivors_round"])
def test_reveal_for_another_context_fails(
    six: Hostile, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7.7 stops it, and without 7.7 row U2 does: the set holds devices outside its own."""
    monkeypatch.setattr(round_checks, out, nothing)
    assert reveal_for_another_context(six) is None


def test_reveal_for_another_context_without_both(
    six: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without 7.7 and U2: device 0's vector, bare."""
    monkeypatch.setattr(round_checks, "check_survivors_round", nothing)
    monkeypatch.setattr(round_checks, "check_survivors_within", nothing)
    lonely = reveal_for_another_context(six)
    assert lonely is not None
    common = six.start()
    p_shares, s_shares = {}, {}
    for holder, start in ((0, lonely), (3, common), (4, common)):
        for dealer, share in six.shares_in(holder, start).items():
            (s_shares if dealer in {0, 3, 4, 5} else p_shares)[dealer, holder] = share
    collude(six, (p_shares, s_shares), [5])
    s = opened(six, s_shares, 0)
    assert s is not None
    pairs = {d: opened(six, p_shares, d) for d in (1, 2)}
    assert None not in pairs.values()
    bare = six.unmask_one(0, lonely, s, {**pairs, 5: six.secrets_of(5, 0).p})
    np.testing.assert_allclose(bare, six.cohort.parties[0].vectors[0][0], atol=1e-9)


# ---- set-up: O1, R1, R3 --------------------------------------------------------------------------


def strict_cohort() -> Cohort:
    """Ten devices that assume two colluders (gamma 20 %), and an offer that assumes one."""
    return Cohort(10, spec_terms(), floor=Floor(gamma_ppm=200_000))


def two_colluders(hostile: Hostile) -> np.ndarray:
    """Devices 8 and 9 collude where a = 1: two quorums of six, and both secrets of device 0."""
    start = hostile.start()
    start_all(hostile, start)
    shown = show(hostile, start, range(10), range(4))
    ask(hostile, shown, colluders=[8, 9])
    others = show(hostile, start, range(1, 10), range(4, 8))
    ask(hostile, others, colluders=[8, 9])
    shares = collect(hostile, start, {**shown, **others})
    collude(hostile, shares, [8, 9])
    p, s = (opened(hostile, kind, 0) for kind in shares)
    assert s is not None
    assert p is not None
    return bare_by_both_kinds(hostile, 0, start, s, p)


def test_needs_o1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters below the floor: the promise would not hold against the floor's colluders."""
    cohort = strict_cohort()
    cohort.set_up()
    assert all(party.refusals() == ["O1"] for party in cohort.parties)
    monkeypatch.setattr(epoch_checks, "check_offer_thresholds", nothing)
    cohort = strict_cohort()
    cohort.set_up()
    bare = two_colluders(Hostile(cohort))
    np.testing.assert_allclose(bare, cohort.parties[0].vectors[0][0], atol=1e-9)


def rosters(cohort: Cohort, *sizes: int) -> list[bytes]:
    """Return validly signed rosters over the first devices of a cohort that has advertised."""
    cohort.start()
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    cohort.up.clear()
    made = []
    for size in sizes:
        entries = []
        for party in cohort.parties[:size]:
            (body,) = party.sent(Stage.ADVERTISE)
            entries.append(joining.Advertise.decode(body, cohort.terms.rounds))
        roster = joining.Roster(entries[0].offer_hash, tuple(a.entry() for a in entries))
        made.append(roster.sign(cohort.aggregator.signing).encode())
    return made


def peer_keys_for_0(cohort: Cohort) -> bytes:
    session = session_of(cohort.parties[0].client.phase)
    assert session is not None
    keys = []
    for party in cohort.parties[1 : session.n]:
        (body,) = party.sent(Stage.ADVERTISE)
        keys.append(b"".join(joining.Advertise.decode(body, cohort.terms.rounds).keys))
    return joining.PeerKeys(session.roster_digest, tuple(keys)).encode()


def deal_to_two_cohorts(cohort: Cohort) -> int:
    """Give device 0 two rosters of one epoch; return for how many it dealt its secrets."""
    for body in rosters(cohort, 4, 3):
        cohort.give(0, Stage.ROSTER, body)
        if isinstance(cohort.parties[0].client.phase, Rostered):
            cohort.give(0, Stage.PEER_KEYS, peer_keys_for_0(cohort))
    dealt = cohort.parties[0].sent(Stage.SHARES)
    return len({body[:32] for body in dealt})  # by sid


def test_needs_r3(monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed is dealt to two cohorts: in either, shares of the other kind can be asked for."""
    cohort = Cohort(4)
    assert deal_to_two_cohorts(cohort) == 1
    assert cohort.parties[0].refusals() == ["R3"]
    cohort = Cohort(4)

    def forgetful(session, phase, body):
        assert isinstance(phase, Shared)
        offer = session.offer
        before = Advertised(offer, session.offer_hash, phase.keys, phase.advertise)
        return joining.take_roster(cohort.parties[0].client._device, before, body, cohort.now)

    monkeypatch.setattr(joining, "take_roster_again", forgetful)
    assert deal_to_two_cohorts(cohort) == 2


def test_needs_r1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without looking at every entry the crowd may be the aggregator's own inventions."""

    def phantom_roster(cohort: Cohort) -> Party:
        (body,) = rosters(cohort, 4)
        roster = joining.Roster.decode(body)
        forged = [
            replace(entry, certificate=replace(entry.certificate, signature=bytes(64)))
            for entry in roster.entries[1:]
        ]
        roster = replace(roster, entries=(roster.entries[0], *forged))
        cohort.give(0, Stage.ROSTER, roster.sign(cohort.aggregator.signing).encode())
        return cohort.parties[0]

    assert phantom_roster(Cohort(4)).refusals() == ["R1"]
    monkeypatch.setattr(epoch_checks, "check_roster_entry", nothing)
    party = phantom_roster(Cohort(4))
    assert isinstance(party.client.phase, Rostered)


def test_needs_m2(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that anybody on the way may open: the signature is what ties it to the aggregator."""
    start = replace(hostile.start(), signature=bytes(64))
    event = Received(Stage.ROUND_START, start.encode(), PAYLOAD)
    hostile.cohort.tell(0, event)
    assert hostile.cohort.parties[0].client.counts[RefusalCode.M2] == 1
    monkeypatch.setattr(RoundStart, "verify", nothing)
    hostile.cohort.tell(0, event)
    assert hostile.cohort.parties[0].sent(Stage.MASKED_INPUT)


def test_a_response_names_one_kind(hostile: Hostile) -> None:
    """The count that these attacks rest on: one share of each active device, never two."""
    start = hostile.start()
    start_all(hostile, start)
    shown = show(hostile, start, range(9), range(9))
    ask(hostile, shown)
    (body,) = hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE)
    assert len(UnmaskResponse.decode(body, 10).shares) == 10
