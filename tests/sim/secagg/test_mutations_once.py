"""74: one vector, one set, one answer: what U4, S7, 7.7, U2 and the erasure of 9.5 each stop.

n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8, agreed, profile C, unless a test says otherwise.
"""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare_crypto.errors import AuthenticationError, ParameterError, RefusalCode
from dreamshare_crypto.secagg import round_checks, rounds
from dreamshare_crypto.secagg.events import (
    RecordKind,
    Stage,
)
from dreamshare_crypto.secagg.phases import Sent
from dreamshare_crypto.secagg.records import SessionRecord
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import Survivors, UnmaskResponse
from dreamshare_crypto.secagg.vault import RoundSecrets, Vault
from tests.sim.secagg.attacks import (
    ask,
    bare_by_both_kinds,
    collude,
    nothing,
    opened,
    show,
    start_all,
)
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.hostile import Hostile, ready_cohort

OTHER = payload_of("another plan")


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


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


def test_a_response_names_one_kind(hostile: Hostile) -> None:
    """The count that these attacks rest on: one share of each active device, never two."""
    start = hostile.start()
    start_all(hostile, start)
    shown = show(hostile, start, range(9), range(9))
    ask(hostile, shown)
    (body,) = hostile.cohort.parties[0].sent(Stage.UNMASK_RESPONSE)
    assert len(UnmaskResponse.decode(body, 10).shares) == 10
