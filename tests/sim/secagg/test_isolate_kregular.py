"""Item 23 of docs/protocol.md section 16: one of 1000 devices, and bitmaps that rotate around it.

The graph is the one that profile K draws (k = 90, t = 62, 64 witnesses of whom 45 sign), the checks
are a device's own, and the aggregator has the key of every colluder; no vector is masked.

The attack: to bare device 0, the aggregator needs s of device 0, for which 62 neighbours have to
think it alive, and p of each of its neighbours, or of enough of them that colluders are left, for
which 62 neighbours of each have to think that one dropped. So it shows every device a bitmap that
keeps device 0 and the receiver and leaves out some of `D`, 62 neighbours of device 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest

from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.graph import derive_parameters
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secagg import round_checks
from dreamshare_crypto.secagg.epoch_messages import Roster, RosterEntry
from dreamshare_crypto.secagg.refusals import RoundRefused
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import Agree, AgreeSet, Survivors
from tests.sim.secagg.federation import NOW, TASK, Federation
from tests.sim.secagg.regular import regular_terms

N, TARGET = 1000, 0
Bitmaps = Mapping[int, frozenset[int]]


@cache
def world() -> tuple[Session, dict[int, IdentityKey]]:
    """Return the session of 1000 devices and the keys of its witnesses."""
    federation = Federation()
    terms = regular_terms(n_max=N, delta_ppm=100_000)
    offer = terms.offer(federation.issue(Role.AGGREGATOR, "aggregator"), TASK, 1, NOW)
    entropy = SeededEntropy(b"a thousand")
    keys = [IdentityKey.generate(entropy) for _ in range(N)]
    kem = AgreementKey.generate(entropy)
    certificates = [federation.certify(Role.DEVICE, key, kem) for key in keys]
    rest = (kem.public, bytes(32), bytes(32), bytes(32), bytes(64))
    entries = tuple(RosterEntry(certificate, *rest) for certificate in certificates)
    derived = derive_parameters(N, offer.claims)
    roster = Roster(offer.digest(), entries)
    session = Session(offer, offer.digest(), roster, bytes(32), derived, seed=bytes(range(32)))
    return session, {index: keys[index] for index in session.graph.witnesses}


def dropped_ones() -> list[int]:
    """Return D: the 62 neighbours of device 0 that are next to it on the ring."""
    session, _ = world()
    ring = session.graph.ring
    place = session.graph.places[TARGET]
    sides = (*range(place - 31, place), *range(place + 1, place + 32))
    return [ring[side % N] for side in sides]


def bitmaps(most: int) -> Bitmaps:
    """Return what each device is shown: `most` of D are left out, others for each in turn."""
    left_out = dropped_ones()
    shown = {}
    for device in range(N):
        turned = [left_out[(device + i) % 62] for i in range(62)]
        others = [index for index in turned if index != device][:most]
        shown[device] = frozenset(range(N)) - set(others)
    return shown


def message(survivors: frozenset[int]) -> Survivors:
    session, _ = world()
    return Survivors(session.sid, 0, bytes(32), N, survivors)


def shares_of(shown: Bitmaps, answering: set[int]) -> tuple[Counter[int], int]:
    """Return how many p-shares each of D has, and how many s-shares device 0, of who answers."""
    session, _ = world()
    p_shares = Counter(
        dealer
        for dealer in dropped_ones()
        for holder in session.graph.neighbours(dealer)
        if holder in answering and dealer not in shown[holder]
    )
    s_shares = sum(holder in answering for holder in session.graph.neighbours(TARGET))
    return p_shares, s_shares


def admits(device: int, survivors: frozenset[int]) -> bool:
    """Whether a device agrees to a bitmap: rows U."""
    session, _ = world()
    try:
        round_checks.check_survivors_enough(message(survivors), session.derived)
        round_checks.check_survivors_holders(message(survivors), session, device)
    except RoundRefused:
        return False
    return device in survivors


def colluders() -> list[int]:
    """Return the most colluding witnesses that the committee withstands: 2q - K - 1 = 25."""
    session, _ = world()
    derived = session.derived
    return sorted(session.graph.witnesses)[: 2 * derived.q - derived.committee - 1]


def best_quorum(shown: Bitmaps, survivors: frozenset[int]) -> AgreeSet:
    """Return what comes nearest to a quorum: who signed this bitmap, and others' signatures."""
    session, keys = world()
    helpers = colluders()
    signing = [w for w in keys if w in helpers or shown[w] == survivors]
    rest = [w for w in keys if w not in signing]
    signers = sorted([*signing, *rest][: session.derived.q])
    signatures = []
    for witness in signers:
        seen = message(survivors if witness in signing else shown[witness])
        agree = Agree(seen.session, seen.round, seen.context, N, seen.survivors)
        signatures.append((witness, agree.sign(keys[witness]).signature))
    return AgreeSet(session.sid, 0, tuple(signatures))


def test_numbers() -> None:
    session, keys = world()
    derived = session.derived
    assert (derived.k, derived.t, derived.committee, derived.q) == (90, 62, 64, 45)
    assert len(colluders()) == 25
    assert len(keys) == 64
    assert set(dropped_ones()) < set(session.graph.neighbours(TARGET))


def test_isolate_kregular() -> None:
    """28 of D left out for each: rows U admit it, and without a quorum nobody answers."""
    session, _ = world()
    shown = bitmaps(28)
    assert all(admits(device, survivors) for device, survivors in shown.items())
    answering = set()
    for survivors in set(shown.values()):
        quorum = best_quorum(shown, survivors)
        with pytest.raises(RoundRefused, match="Q1"):
            round_checks.check_quorum(quorum, message(survivors), session)
    p_shares, s_shares = shares_of(shown, answering)
    assert not p_shares
    assert s_shares == 0


def test_isolate_kregular_one_bitmap_gets_its_quorum() -> None:
    """All witnesses are shown one bitmap: only who was shown that one too answers."""
    session, _ = world()
    one = frozenset(range(N)) - set(dropped_ones()[:28])
    shown = {**bitmaps(28), **dict.fromkeys(session.graph.witnesses - set(dropped_ones()), one)}
    quorum = best_quorum(shown, one)
    round_checks.check_quorum(quorum, message(one), session)
    for survivors in set(shown.values()) - {one}:
        with pytest.raises(RoundRefused, match="Q1"):
            round_checks.check_quorum(quorum, message(survivors), session)
    answering = {device for device in range(N) if shown[device] == one}
    p_shares, s_shares = shares_of(shown, answering)
    assert max(p_shares.values(), default=0) < session.derived.t
    assert s_shares < session.derived.t


def test_isolate_kregular_without_quorum_or_u3() -> None:
    """Mutations, so that the script stays sharp.

    Without the quorum, U3 alone keeps every p closed: each device leaves out 28 neighbours at most.
    Without U3 too, all of D and device 0 are opened.
    """
    session, _ = world()
    t, everyone = session.derived.t, set(range(N))
    p_shares, s_shares = shares_of(bitmaps(28), everyone)
    assert s_shares >= t
    assert max(p_shares.values()) < t
    whole = bitmaps(62)
    assert not all(admits(device, survivors) for device, survivors in whole.items())
    p_shares, s_shares = shares_of(whole, everyone)
    assert s_shares >= t
    assert min(p_shares[dealer] for dealer in dropped_ones()) >= t


def test_witnesses_elsewhere_change_nothing() -> None:
    """A committee of other devices is no committee: Q1 names the witness."""
    session, keys = world()
    survivors = frozenset(range(N))
    signers = sorted(keys)[:45]
    agree = Agree(session.sid, 0, bytes(32), N, survivors)
    signatures = tuple((w, agree.sign(keys[w]).signature) for w in signers)
    round_checks.check_quorum(AgreeSet(session.sid, 0, signatures), message(survivors), session)
    elsewhere = replace(session, seed=bytes(32))
    moved = replace(message(survivors), session=elsewhere.sid)
    with pytest.raises(RoundRefused, match="witness"):
        round_checks.check_quorum(AgreeSet(elsewhere.sid, 0, signatures), moved, elsewhere)
