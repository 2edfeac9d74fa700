"""All strategies of a hostile aggregator on small cohorts: test 28 of docs/protocol.md section 16.

For each honest device the aggregator chooses the active set that it is shown, and its survivors or
none. A device reveals when q devices of its own (A, U), or colluders, who sign anything, signed it;
several sets may have a quorum, if they can. What then opens follows from 7.6: of each device the s
or the p of which t shares came together; colluders open all of their own. A set of honest devices
is *bare* when all masks on the sum of their vectors are known or cancel. The strategy's worth is
the size of the smallest bare set.

What a device accepts is not modelled here: the product's own checks say it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, product

import pytest

from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Claims, Derived, Mode, Profile, derive_parameters
from dreamshare_crypto.secagg import round_checks
from dreamshare_crypto.secagg.refusals import RoundRefused
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.survivor_messages import Survivors
from tests.sim.secagg.federation import make_params, payload_of

Set = frozenset[int]


def subsets(of: Set) -> Iterator[Set]:
    return (
        frozenset(c) for c in chain.from_iterable(combinations(of, k) for k in range(len(of) + 1))
    )


def start_of(n: int, active: Set) -> RoundStart:
    return RoundStart(bytes(32), 0, n, active, payload_of("x").hash, make_params(), 0)


def accepts_start(n: int, device: int, active: Set, derived: Derived) -> bool:
    start = start_of(n, active)
    try:
        round_checks.check_start_own(start, device)
        round_checks.check_start_active(start, derived)
    except RoundRefused:
        return False
    return True


def accepts_survivors(
    n: int, device: int, active: Set, chosen: Set, derived: Derived, floor: Floor | None = None
) -> bool:
    start = start_of(n, active)
    shown = Survivors(bytes(32), 0, start.context(), n, chosen)
    try:
        round_checks.check_survivors_within(shown, start, device)
        round_checks.check_survivors_enough(shown, derived)
        if floor is not None:
            round_checks.check_survivors_dropped(shown, start, derived, floor)
    except RoundRefused:
        return False
    return True


def least_bare(shown: dict[int, Set], s_open: Set, p_open: Set) -> int | None:
    """Return the size of the smallest bare set of honest devices, None when there is none.

    `shown` is each honest device's active set; equal sets are one round context.
    """
    component: dict[int, Set] = {}
    for device in shown:
        # Everything that must be in a sum with `device` for its unopened pair masks to cancel.
        together, fringe, bare = {device}, [device], True
        while fringe and bare:
            j = fringe.pop()
            bare = j in s_open
            for other in shown[j] - {j}:
                if other in p_open or j in p_open or other in together:
                    continue
                if shown.get(other) != shown[j]:
                    bare = False
                    break
                together.add(other)
                fringe.append(other)
        if bare:
            component[device] = frozenset(together)
    return min((len(c) for c in component.values()), default=None)


Told = tuple[Set, Set | None]
"""What an honest device is shown in a round: its active set, and survivors or nothing."""


def least_crowd(n: int, colluders: Set, derived: Derived) -> int | None:
    """Return the least honest crowd over all strategies, None when nothing ever opens.

    Every honest device may be told something else, and all quorums that come about open at once.
    """
    everyone = frozenset(range(n))
    honest = sorted(everyone - colluders)
    told: list[list[Told]] = []
    for i in honest:
        starts = [a for a in subsets(everyone) if accepts_start(n, i, a, derived)]
        told.append(
            [
                (active, chosen)
                for active in starts
                for chosen in (None, *subsets(active))
                if chosen is None or accepts_survivors(n, i, active, chosen, derived)
            ]
        )
    worth: dict[tuple[tuple[Set, ...], frozenset[tuple[Told, int]]], int | None] = {}
    for strategy in product(*told):
        signed = Counter(strategy)
        revealing = frozenset(
            (pair, members)
            for pair, members in signed.items()
            if pair[1] is not None and members + len(colluders & pair[1]) >= derived.q  # Q1
        )
        key = (tuple(active for active, _ in strategy), revealing)
        if revealing and key not in worth:
            s_open, p_open = opened_by(n, revealing, colluders, derived.t)
            worth[key] = least_bare(dict(zip(honest, key[0], strict=True)), s_open, p_open)
    return min((crowd for crowd in worth.values() if crowd is not None), default=None)


def opened_by(
    n: int, revealing: frozenset[tuple[Told, int]], colluders: Set, t: int
) -> tuple[Set, Set]:
    """Return whose s and whose p open: t shares of one kind, the colluders' own included (7.6)."""
    s_shares, p_shares = Counter[int](), Counter[int]()
    for (active, chosen), members in revealing:
        for j in active:
            (s_shares if chosen is not None and j in chosen else p_shares)[j] += members
    enough = t - len(colluders)
    s_open = frozenset(j for j in range(n) if s_shares[j] and s_shares[j] >= enough)
    p_open = frozenset(j for j in range(n) if p_shares[j] and p_shares[j] >= enough)
    return s_open, p_open | colluders


def least_crowd_bounded(n: int, colluders: Set, derived: Derived) -> int | None:
    """The same for bounded mode: each honest device is shown a set of survivors of its own.

    Only for parameters whose A_min is n, so that all honest devices run one round context.
    """
    everyone = frozenset(range(n))
    honest = sorted(everyone - colluders)
    assert all(not accepts_start(n, 0, a, derived) for a in subsets(everyone) if a != everyone)
    floor = Floor(modes=(Mode.BOUNDED,))
    choices = [
        [u for u in subsets(everyone) if accepts_survivors(n, i, everyone, u, derived, floor)]
        for i in honest
    ]
    shown = dict.fromkeys(honest, everyone)
    least: int | None = None
    for chosen in product(*choices):
        kept = [sum(j in u for u in chosen) for j in range(n)]
        enough = derived.t - len(colluders)
        s_open = frozenset(j for j in range(n) if kept[j] >= enough)
        p_open = colluders | {j for j in range(n) if len(honest) - kept[j] >= enough}
        crowd = least_bare(shown, s_open, p_open)
        if crowd is not None:
            least = crowd if least is None else min(least, crowd)
    return least


def derived_for(n: int, least_cohort: int = 3, a_min_ppm: int = 0, d_ppm: int = 0) -> Derived:
    return derive_parameters(
        n,
        Claims(
            profile=Profile.COMPLETE,
            mode=Mode.BOUNDED if d_ppm else Mode.AGREED,
            gamma_ppm=50_000,
            delta_ppm=100_000,
            sigma=64,
            eta=20,
            a_min_ppm=a_min_ppm,
            d_ppm=d_ppm,
            least_cohort=least_cohort,
        ),
    )


@pytest.mark.parametrize(("n", "crowd"), [(3, 3), (4, 2), (5, 3)])
def test_exhaustive_small(n: int, crowd: int) -> None:
    """n = 3: u_min - a = 3 - 0. n = 4: 3 - 1. n = 5: 4 - 1. By symmetry one colluder suffices."""
    derived = derived_for(n)
    assert derived.u_min - derived.a == crowd
    colluders = frozenset(range(n - derived.a, n))
    assert least_crowd(n, colluders, derived) == crowd


def test_exhaustive_small_without_colluders() -> None:
    assert least_crowd(4, frozenset(), derived_for(4)) == 3


def test_exhaustive_small_needs_s4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without S4 one device opens alone: the search would notice that the check is gone."""
    monkeypatch.setattr(round_checks, "check_start_active", lambda start, derived: None)
    assert least_crowd(4, frozenset({3}), derived_for(4)) == 1


def test_exhaustive_small_needs_large_quorums() -> None:
    """With q = t = 2 of 4, below (n + a) / 2, two sets have a quorum: a device opens alone."""
    derived = replace(derived_for(4), q=2, t=2)
    assert least_crowd(4, frozenset({3}), derived) == 1


def test_exhaustive_small_needs_u3(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cohort of 5 asked of n = 5: 4 honest ones, and without U3 a quorum's q - a = 3."""
    derived = derived_for(5, least_cohort=5, a_min_ppm=1_000_000)
    assert least_crowd(5, frozenset({4}), derived) == 4
    monkeypatch.setattr(round_checks, "check_survivors_enough", lambda shown, derived: None)
    assert least_crowd(5, frozenset({4}), derived) == 3


@pytest.mark.parametrize(
    ("n", "d", "crowd"),
    [
        (4, 1, 2),  # t = 3: E = 4 - floor(3 * 1 / 2) = 3, less one colluder
        (5, 1, 3),  # t = 4: E = 5 - floor(4 * 1 / 3) = 4
        (6, 1, 4),  # t = 4: E = 6 - floor(5 * 1 / 3) = 5
    ],
)
def test_exhaustive_small_bounded(n: int, d: int, crowd: int) -> None:
    """A_min = n, a = 1: E - a honest devices, and some strategy gets down to it."""
    derived = derived_for(n, a_min_ppm=1_000_000, d_ppm=-(-d * 1_000_000 // n))
    assert (derived.a, derived.a_min, derived.d) == (1, n, d)
    assert derived.crowd - derived.a == crowd
    assert least_crowd_bounded(n, frozenset({n - 1}), derived) == crowd


def test_exhaustive_small_bounded_needs_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without B1 and U3 (which follows from B1 where all are active) one device opens alone."""
    derived = derived_for(4, a_min_ppm=1_000_000, d_ppm=250_000)
    for name in ("check_survivors_dropped", "check_survivors_enough"):
        monkeypatch.setattr(round_checks, name, lambda *arguments: None)
    assert least_crowd_bounded(4, frozenset({3}), derived) == 1
