"""74: rows O1, R1 and R3, without which an epoch would begin that keeps no promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.floor import Floor
from dreamshare_crypto.secagg import epoch_checks, joining
from dreamshare_crypto.secagg.events import (
    Stage,
)
from dreamshare_crypto.secagg.phases import Advertised, Rostered, Shared, session_of
from tests.sim.secagg.attacks import (
    ask,
    bare_by_both_kinds,
    collect,
    collude,
    nothing,
    opened,
    show,
    start_all,
)
from tests.sim.secagg.federation import spec_terms
from tests.sim.secagg.harness import Cohort, Party
from tests.sim.secagg.hostile import Hostile

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
