"""A hostile aggregator against a whole cohort: tests 21, 22 and 25 to 27 of section 16.

Each attack is driven against honest machines, once as they are and once with a single check taken
out: the second run recovers the target's vector, which shows that the attack is a real one and that
the check is what stops it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto import graph
from dreamshare_crypto.errors import RangeError, RefusalCode, Refused
from dreamshare_crypto.graph import derive_parameters
from dreamshare_crypto.secagg import round_checks
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import Survivors
from tests.sim.secagg.attacks import (
    bare_vector_of_0,
    collect,
    collude,
    opened,
    outsider_rctx,
)
from tests.sim.secagg.federation import bounded_terms, make_terms, payload_of, spec_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import Hostile, ready_cohort

SIZES = (10, 20, 30, 50, pytest.param(100, marks=pytest.mark.long))

# ---- 21 ------------------------------------------------------------------------------------------


def isolate_by_bitmaps(hostile: Hostile) -> tuple[RoundStart, RoundStart, dict[int, Survivors]]:
    """Show device 0 the active set {0} and D, |D| = t - 1, and everybody else all devices.

    The others get bitmaps that keep device 0 and themselves and rotate the exclusion of D, as many
    as u_min, or d in bounded mode, allows. If they answered, s of device 0 and p of every member of
    D would be open, and with them every mask on device 0's vector.
    """
    n, derived = hostile.session.n, hostile.session.derived
    d_set = list(range(1, derived.t))
    lonely = hostile.start(active=[0, *d_set])
    common = hostile.start(payload=payload_of("for everybody else"))
    hostile.give_start(0, lonely)
    for number in range(1, n):
        hostile.give_start(number, common, payload_of("for everybody else"))
    most = derived.d if hostile.session.bounded else n - derived.u_min
    return lonely, common, rotate_exclusions(hostile, common, range(1, n), d_set, most)


def rotate_exclusions(
    hostile: Hostile, start: RoundStart, holders: Sequence[int], out: Sequence[int], most: int
) -> dict[int, Survivors]:
    """Show each holder a set that lacks `most` of `out`, never itself; in turn, so all alike."""
    shown: dict[int, Survivors] = {}
    turn = 0
    for number in holders:
        others = [d for d in out if d != number]
        excluded: set[int] = set()
        while len(excluded) < min(most, len(others)):
            excluded.add(others[turn % len(others)])
            turn += 1
        shown[number] = hostile.survivors(start, start.active - excluded)
        hostile.give(number, shown[number])
    return shown


@pytest.mark.parametrize("n", SIZES)
def test_isolate_by_bitmaps(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No colluders. As it is: no quorum and no share. Without Q1: the target's vector, bare."""
    hostile = ready_cohort(n, make_terms(rounds=1, n_max=100))
    q = hostile.session.derived.q
    lonely, common, shown = isolate_by_bitmaps(hostile)
    agreed = {number: hostile.agreements(number, s) for number, s in shown.items()}
    assert None not in agreed.values()  # each signed what it was shown, and nothing else

    def ask() -> None:
        for number, survivors in shown.items():
            # Signatures that exist: one's own and others', each under its own signer's set.
            signers = sorted(survivors.survivors & agreed.keys())[:q]
            signatures = tuple((signer, agreed[signer]) for signer in signers)
            request = hostile.agree_set(survivors, ())
            hostile.give(number, type(request)(request.session, request.round, signatures))

    ask()
    assert hostile.shares_sent() == 0
    assert all(p.client.counts.get(RefusalCode.Q1) == 1 for p in hostile.cohort.parties[1:])

    with monkeypatch.context() as without:
        without.setattr(round_checks, "check_quorum", lambda *_: None)
        ask()
    assert hostile.shares_sent() == n - 1
    p_shares, s_shares = collect(hostile, common, shown)
    s = opened(hostile, s_shares, 0)
    pairs = {d: opened(hostile, p_shares, d) for d in sorted(lonely.active - {0})}
    assert s is not None
    assert None not in pairs.values()
    bare = hostile.unmask_one(0, lonely, s, pairs)
    truth = hostile.cohort.parties[0].vectors[0][0]
    np.testing.assert_allclose(bare, truth, atol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_isolate_by_bitmaps_bounded(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """d = n - t, a cohort of 8: refused at birth. With d and E unchecked: the target's vector."""
    t = derive_parameters(n, make_terms().claims).t
    d_ppm = -(-(n - t) * 1_000_000 // n)
    terms = bounded_terms(rounds=1, n_max=100, d_ppm=d_ppm, a_min_ppm=1_000_000)
    with pytest.raises(Refused, match="guarantee a crowd of"):
        derive_parameters(n, terms.claims)
    monkeypatch.setattr(graph, "_most_dropped", lambda n, a, t, a_min, d_ppm, least: n - t)
    cohort = Cohort(n, replace(terms, a_min_ppm=0))
    cohort.set_up()
    hostile = Hostile(cohort)
    derived = hostile.session.derived
    assert (derived.a_min, derived.d) == (t, n - t)
    lonely, common, shown = isolate_by_bitmaps(hostile)
    assert hostile.shares_sent() == n - 1
    p_shares, s_shares = collect(hostile, common, shown)
    s = opened(hostile, s_shares, 0)
    pairs = {d: opened(hostile, p_shares, d) for d in sorted(lonely.active - {0})}
    assert s is not None
    assert None not in pairs.values()
    bare = hostile.unmask_one(0, lonely, s, pairs)
    np.testing.assert_allclose(bare, hostile.cohort.parties[0].vectors[0][0], atol=1e-9)


@pytest.mark.parametrize(
    ("n", "crowd"), [(10, 8), (30, 22), (50, 36), pytest.param(100, 71, marks=pytest.mark.long)]
)
def test_isolate_by_bitmaps_with_the_rows(n: int, crowd: int) -> None:
    """The rows of 4.5, a colluders: a sum that holds the target holds E devices at least.

    Device 0 is shown A_min devices. Every pair mask on its vector has to be opened from the other
    end or to cancel in a sum over that end too, so its crowd is A_min less the p that open.
    """
    hostile = ready_cohort(n, bounded_terms(rounds=1, n_max=100))
    derived = hostile.session.derived
    assert derived.crowd == crowd
    holders = range(1, n - derived.a)  # the last a collude and give shares of both kinds
    start = hostile.start(active=range(derived.a_min))
    common = hostile.start(payload=payload_of("for everybody else"))
    hostile.give_start(0, start)
    for number in holders:
        hostile.give_start(number, common, payload_of("for everybody else"))
    most_open = (n - derived.a) * derived.d // (derived.t - derived.a)
    victims = range(1, 1 + most_open)
    shown = rotate_exclusions(hostile, common, holders, victims, derived.d)
    p_shares, s_shares = collect(hostile, common, shown)
    collude(hostile, (p_shares, s_shares), range(n - derived.a, n))
    gone = [d for d in range(1, n - derived.a) if opened(hostile, p_shares, d) is not None]
    assert derived.a_min - len(gone) >= crowd


# ---- 22 ------------------------------------------------------------------------------------------


def shrink_by_bitmaps(hostile: Hostile, most: int) -> tuple[RoundStart, dict[int, Survivors]]:
    """Start one round for all; exclude 19 devices, `most` at a time, from 95 honest bitmaps."""
    start = hostile.start()
    for number in range(100):
        hostile.give_start(number, start)
    return start, rotate_exclusions(hostile, start, range(95), range(19), most)


def test_shrink_by_bitmaps() -> None:
    """n = 100, d = 10, a = 5 colluders, t = 53: 95 * 10 exclusions open floor(950 / 48) = 19 p.

    What is left is a sum over the other 81, 76 of them honest. It can be read, and nothing less.
    """
    hostile = ready_cohort(100, bounded_terms(rounds=1, n_max=100))
    derived = hostile.session.derived
    assert (derived.a, derived.t, derived.d) == (5, 53, 10)
    start, shown = shrink_by_bitmaps(hostile, derived.d)
    p_shares, s_shares = collect(hostile, start, shown)
    collude(hostile, (p_shares, s_shares), range(95, 100))
    p = {d: opened(hostile, p_shares, d) for d in range(95)}
    s = {d: opened(hostile, s_shares, d) for d in range(100)}
    gone = {d for d in range(95) if p[d] is not None}
    assert not any(s[d] is not None for d in gone)
    left = hostile.everyone - gone
    assert len(left - set(range(95, 100))) >= 76
    assert gone == set(range(19))  # the bound is met
    assert all(s[d] is not None for d in left)


def test_shrink_by_bitmaps_agreed() -> None:
    """Agreed mode: no set of survivors has a quorum, so no share leaves."""
    hostile = ready_cohort(100, make_terms(rounds=1, n_max=100))
    _, shown = shrink_by_bitmaps(hostile, 10)
    agreed = {number: hostile.agreements(number, s) for number, s in shown.items()}
    signed = Counter(s.survivors for s in shown.values())
    assert max(signed.values()) + 5 < hostile.session.derived.q
    for number, survivors in shown.items():
        same = [i for i in agreed if shown[i].survivors == survivors.survivors]
        quorum = [(i, agreed[i] or b"") for i in same]
        quorum += [(i, hostile.agree(i, survivors)) for i in range(95, 100)]
        request = hostile.agree_set(survivors, ())
        hostile.give(number, replace(request, signatures=tuple(sorted(quorum))))
    assert hostile.shares_sent() == 0


# ---- 25 ------------------------------------------------------------------------------------------


@pytest.fixture
def six() -> Hostile:
    hostile = ready_cohort(6, make_terms())
    derived = hostile.session.derived
    assert (derived.a, derived.q, derived.t, derived.a_min) == (1, 4, 4, 4)
    return hostile


def test_outsider_rctx(six: Hostile) -> None:
    outsider_rctx(six, [0, 1, 5])
    assert six.cohort.parties[0].refusals() == ["S4"]
    assert six.cohort.parties[0].sent(Stage.MASKED_INPUT) == []


def test_outsider_rctx_without_s4(six: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(round_checks, "check_start_active", lambda start, derived: None)
        lonely, common = outsider_rctx(six, [0, 1, 5])
    bare = bare_vector_of_0(six, lonely, common)
    np.testing.assert_allclose(bare, six.cohort.parties[0].vectors[0][0], atol=1e-9)


def test_outsider_rctx_of_four(six: Hostile) -> None:
    """A_min = 4 active devices: one pair mask stays, and nothing can be read."""
    lonely, common = outsider_rctx(six, [0, 1, 2, 5])
    with pytest.raises(RangeError):
        bare_vector_of_0(six, lonely, common)


# ---- 26, 27 --------------------------------------------------------------------------------------


def test_partition_halves() -> None:
    hostile = ready_cohort()
    for half in (range(5), range(5, 10)):
        start = hostile.start(active=half)
        for number in half:
            hostile.give_start(number, start)
    assert [party.refusals() for party in hostile.cohort.parties] == [["S4"]] * 10


@pytest.mark.parametrize("first", range(1, 9))
def test_partition_overlap(first: int) -> None:
    """Two active sets of A_min devices and two payloads; device 9 colludes: at most one sum.

    Devices 0..first-1 take the first round context and the other honest ones the second.
    """
    hostile = ready_cohort(10, spec_terms())
    payloads = (payload_of("one"), payload_of("two"))
    active = (hostile.everyone - {8}, hostile.everyone - {0})
    starts = tuple(
        hostile.start(active=a, payload=p) for a, p in zip(active, payloads, strict=True)
    )
    honest = ([i for i in range(first) if i != 8], [i for i in range(first, 9) if i != 0])
    quorums = 0
    for start, payload, members in zip(starts, payloads, honest, strict=True):
        shown = hostile.survivors(start, start.active)
        for number in members:
            hostile.give_start(number, start, payload)
            hostile.give(number, shown)
        signers = [i for i in members if hostile.agreements(i, shown) is not None]
        quorum = [*signers, 9][-6:]
        quorums += len(quorum) == 6
        for number in signers:
            hostile.give(number, hostile.agree_set(shown, quorum))
    answered = {
        party.client.phase.commitment.context
        for party in hostile.cohort.parties
        if party.sent(Stage.UNMASK_RESPONSE)
    }
    assert len(answered) == quorums <= 1
