"""What the checks of section 11 are for: each is taken out, and what it stops happens (74).

n = 10. With gamma = 30 % a = 3 and t = floor(13 / 2) + 1 = 7, else a = 1 and t = 6.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dreamshare_crypto.decoding import Decoded
from dreamshare_crypto.secagg.blame import Blame
from dreamshare_crypto.secagg.events import AbortReason, RoundAbandoned, Summed
from dreamshare_crypto.secagg.reconstruction import Reconstruction
from dreamshare_crypto.secagg.survivor_messages import UnmaskResponse
from dreamshare_crypto.shamir import P
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.liars import Lied, add, deal_badly, faults


def ready(rounds: int = 2, gamma_ppm: int = 50_000) -> Cohort:
    cohort = Cohort(10, make_terms(rounds=rounds, gamma_ppm=gamma_ppm))
    cohort.set_up()
    return cohort


def marks(cohort: Cohort) -> dict[int, set[int]]:
    found = cohort.server._course.cohort
    assert found is not None
    return {i: set(found.blame.marks(i)) for i in range(10) if found.blame.marks(i)}


# ---- 11.1: what was reconstructed is checked -----------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
def test_an_unchecked_secret_spoils_the_sum(monkeypatch: pytest.MonkeyPatch, checked: bool) -> None:
    """One lie about one self mask: without the check noise comes out, and nobody is found."""
    cohort = ready()
    if not checked:
        monkeypatch.setattr(Reconstruction, "_check", lambda self, dealer, secret: None)
    lied = Lied(cohort)
    lied.lie(0, [5])
    ended = lied.deliver()
    assert isinstance(ended, Summed) is checked
    assert marks(cohort) == ({0: {5}, 5: {0}} if checked else {})
    if not checked:
        assert ended == RoundAbandoned(0, AbortReason.RANGE, answered=True)


# ---- 11.3: a mark takes t + a answers that agree -------------------------------------------------


def frame(lied: Lied, dealer: int, liars: tuple[int, ...], carriers: tuple[int, ...]) -> None:
    """Let liars answer from another polynomial with the same secret.

    It is the dealer's plus c x prod (x - x_h) over the honest `carriers`: the same at 0 and at
    theirs, so that each liar needs nothing but its own share. Degree len(carriers) + 1 = t - 1.
    """
    for liar in liars:
        response = UnmaskResponse.decode(lied.bodies[liar], 10)
        x = liar + 1
        offset = 5 * x * math.prod(x - (carrier + 1) for carrier in carriers) % P
        shares = list(response.shares)
        shares[dealer] = add(shares[dealer], offset)
        lied.resign(liar, replace(response, shares=tuple(shares)))


def judge_by_any(self: Reconstruction, dealer: int, holders: tuple[int, ...], d: Decoded) -> None:
    """`Reconstruction._judge` that marks whatever was decoded."""
    if self._opens(dealer, d.secret):
        for place in d.wrong:
            self._blame.mark(dealer, holders[place])


@pytest.mark.parametrize("guarded", [True, False])
def test_three_liars_cannot_frame_a_holder(monkeypatch: pytest.MonkeyPatch, guarded: bool) -> None:
    """Nine answers, radius 1: three liars and five honest holders carry 8 = t + 1 of them.

    The sixth honest holder, device 8, is off what they carry. The secret is right all the same, so
    the sum is; but a mark takes t + a = 10 answers, and without that rule it hits device 8.
    """
    cohort = ready(gamma_ppm=300_000)
    if not guarded:
        monkeypatch.setattr(Reconstruction, "_judge", judge_by_any)
    lied = Lied(cohort)
    frame(lied, dealer=9, liars=(0, 1, 2), carriers=(3, 4, 5, 6, 7))
    ended = lied.deliver(8, 0, 1, 2, 3, 4, 5, 6, 7)
    assert isinstance(ended, Summed)
    assert marks(cohort) == ({} if guarded else {8: {9}, 9: {8}})


# ---- 11.3: marked edges and faulty devices are left out ------------------------------------------


@pytest.mark.parametrize("left_out", [True, False])
def test_a_liar_that_is_not_left_out_lies_on(
    monkeypatch: pytest.MonkeyPatch, left_out: bool
) -> None:
    """Device 0 lies about everybody: with its answers in use every dealer is decoded and marked."""
    cohort = ready()
    if not left_out:
        monkeypatch.setattr(Blame, "uses", lambda self, dealer, holder: True)
    lied = Lied(cohort)
    lied.lie(0)
    assert isinstance(lied.deliver(), Summed)
    assert marks(cohort)[0] == ({0, 1} if left_out else set(range(10)))


@pytest.mark.parametrize("left_out", [True, False])
def test_a_faulty_dealer_that_stays_spoils_every_round(
    monkeypatch: pytest.MonkeyPatch, left_out: bool
) -> None:
    """11.4: it costs one round; with the conviction forgotten it costs them all."""
    cohort = Cohort(10, make_terms(rounds=3))
    deal_badly(monkeypatch, cohort.parties[2].id, lambda kind, r: range(10))
    cohort.set_up()
    if not left_out:
        monkeypatch.setattr(Blame, "accuse", lambda self, device, reason: None)
    assert isinstance(Lied(cohort).deliver(), RoundAbandoned)
    assert isinstance(cohort.run_round(), Summed if left_out else RoundAbandoned)
    assert bool(faults(cohort)) is left_out


# ---- 11.4: blame takes t + 2a answers ------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False])
def test_silence_cannot_make_an_honest_dealer_faulty(
    monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """Seven answers, one of them a lie about dealer 5: the rule of t + 2a = 8 protects dealer 5."""
    cohort = ready()
    lied = Lied(cohort)
    lied.lie(0, [5])
    if not guarded:
        found = cohort.server._course.cohort
        assert found is not None
        found.blame.tolerated = 0
    lied.deliver(*range(7))
    for _ in range(4):
        cohort.pass_deadline(lambda number, stage: False)
    assert isinstance(lied.outcome, RoundAbandoned)
    assert (5 in faults(cohort)) is not guarded
