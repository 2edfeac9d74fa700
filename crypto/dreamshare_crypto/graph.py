"""Who holds whose shares and how many it takes: the parameters of a roster (section 4).

Rules:
- every party computes thresholds itself from the roster size and the offer's claims and takes
  none from the wire (docs/protocol.md 4.1);
- nothing here is random and nothing is rounded: parties that compute differently are in different
  sessions (4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from dreamshare_crypto.errors import ParameterError, RefusalCode, Refused
from dreamshare_crypto.finder import (
    Expected,
    colluding_neighbours,
    find_committee,
    find_degree,
    find_seeders,
)
from dreamshare_crypto.transcript import Writer

MILLION = 1_000_000
LARGEST_COMPLETE = 128
"""Most members of a roster in profile C (4.2)."""
LARGEST_REGULAR = 10_000
"""Most members of a roster in profile K: 4.1 MB of roster, 10 s of signatures on a small board."""
LEAST_SIGMA, LEAST_ETA = 64, 20
"""Least bits of security and of correctness of a random graph (4.6)."""


def largest_roster(profile: int) -> int:
    """Return the most members that a roster of the profile may have (4.2)."""
    return LARGEST_REGULAR if profile == Profile.REGULAR else LARGEST_COMPLETE


class Profile(IntEnum):
    """Share graph (4.2)."""

    COMPLETE = 1  # profile C
    REGULAR = 2  # profile K


class Mode(IntEnum):
    """How survivors are settled (7.4, 7.5)."""

    AGREED = 1
    BOUNDED = 2  # profile C only


@dataclass(frozen=True, slots=True)
class Derived:
    """What everybody computes from n and the offer (4.1).

    Attributes:
        a: colluders tolerated in the roster (4.3).
        t: shares that reconstruct a secret.
        k: neighbours of a device; 0 in profile C, where all are neighbours.
        q: signatures that make a quorum (7.4).
        committee: K, witnesses; n in profile C, where every device is one (4.8).
        seeders: m, devices that seed the graph; 0 in profile C (4.9).
        a_min: least active devices of a round (S4).
        u_min: least survivors of a round (U3).
        d: most dropouts that a survivors' bitmap may declare (4.5); 0 in agreed mode, no bound.
        crowd: E, the least devices whose sum can ever be opened; honest ones are E - a (1.3, 1.4).
        liars: most of one dealer's holders that may lie before blame goes wrong (11.3): a in
            profile C, at least 1 (with n = 3 nothing can be attributed); t1 in profile K.
    """

    a: int
    t: int
    k: int
    q: int
    committee: int
    seeders: int
    a_min: int
    u_min: int
    d: int
    crowd: int
    liars: int

    def encode(self) -> bytes:
        """Return `derived` as it goes into sid: u32 a, t, k, q, K, m, A_min (4.1)."""
        writer = Writer()
        for value in (self.a, self.t, self.k, self.q, self.committee, self.seeders, self.a_min):
            writer.u32(value)
        return writer.finish()


@dataclass(frozen=True, slots=True)
class Claims:
    """What an offer claims and every party computes from (4.1). Checked by `derive_parameters`.

    Attributes:
        profile: `Profile`, as the number of the offer.
        mode: `Mode`, as the number of the offer.
        gamma_ppm: colluding fraction in millionths, 0..10^6.
        delta_ppm: vanishing fraction in millionths, 0..10^6; bounds nothing in profile C.
        sigma: security of random graphs in bits; bounds nothing in profile C.
        eta: correctness of random graphs in bits; bounds nothing in profile C.
        a_min_ppm: least active fraction in millionths, 0..10^6.
        d_ppm: most dropouts of bounded mode in millionths; 0 in agreed mode.
        least_cohort: least devices in a sum, >= 3.
    """

    profile: int
    mode: int
    gamma_ppm: int
    delta_ppm: int
    sigma: int
    eta: int
    a_min_ppm: int
    d_ppm: int
    least_cohort: int


def derive_parameters(n: int, claims: Claims) -> Derived:
    """Return the parameters of a roster of `n` (4.1 to 4.10).

    Raises:
        Refused: R2 for a roster size outside the profile's range (3..128 for C, 129..10,000 for K)
            or below `least_cohort`; O1 for claims that leave no threshold or no graph, demand more
            survivors than active devices, or bound the crowd of bounded mode below what they ask;
            the text says what to change.
    """
    fractions = (claims.gamma_ppm, claims.delta_ppm, claims.a_min_ppm, claims.d_ppm)
    if not all(0 <= fraction <= MILLION for fraction in fractions):
        raise Refused(RefusalCode.O1, "a fraction of the offer is not in 0..10^6 millionths")
    if claims.sigma < 1 or claims.eta < 1:
        raise Refused(RefusalCode.O1, "sigma and eta are at least 1 bit")
    if claims.least_cohort < 3:
        raise Refused(RefusalCode.O1, f"a least cohort of {claims.least_cohort}; sums take 3")
    if n < claims.least_cohort:
        raise Refused(RefusalCode.R2, f"{n} devices; the least cohort is {claims.least_cohort}")
    if claims.profile == Profile.REGULAR:
        return _regular_graph(n, claims)
    return _complete_graph(n, claims)


def _complete_graph(n: int, claims: Claims) -> Derived:
    """Return the parameters of profile C (4.3 to 4.5)."""
    if n > LARGEST_COMPLETE:
        raise Refused(
            RefusalCode.R2, f"{n} devices; a complete graph takes at most {LARGEST_COMPLETE}"
        )
    a = 0 if n == 3 else max(1, _ceil_ppm(claims.gamma_ppm, n))
    t = (n + a) // 2 + 1
    if t > n:
        raise Refused(RefusalCode.O1, f"gamma leaves no threshold: {a} colluders of {n}")
    a_min = 3 if n == 3 else max(t, _ceil_ppm(claims.a_min_ppm, n))
    least = max(claims.least_cohort, a + 2)
    bounded = claims.mode == Mode.BOUNDED
    d = _most_dropped(n, a, t, a_min, claims.d_ppm, least) if bounded else 0
    u_min = a_min - d if bounded else max(t, least)
    crowd = bounded_crowd(n, a, t, a_min, d) if bounded else u_min
    if u_min > a_min:
        raise Refused(
            RefusalCode.O1, f"u_min {u_min} exceeds A_min {a_min}: a round of A_min could not end"
        )
    return Derived(
        a=a,
        t=t,
        k=0,
        q=t,
        committee=n,
        seeders=0,
        a_min=a_min,
        u_min=u_min,
        d=d,
        crowd=crowd,
        liars=max(1, a),
    )


def bounded_crowd(n: int, a: int, t: int, a_min: int, d: int) -> int:
    """Return E of bounded mode, the least devices in a sum that can be opened (1.4).

    Each honest device declares at most `d` others dropped, (n - a) * d in all; to keep one device
    out of what is opened takes t - a of these.
    """
    return a_min - (n - a) * d // (t - a)


def _most_dropped(n: int, a: int, t: int, a_min: int, d_ppm: int, least: int) -> int:
    """Return d of bounded mode (4.5); O1 where it is none, or leaves too small a crowd."""
    d = d_ppm * n // MILLION
    if not 1 <= d <= n - t:
        raise Refused(
            RefusalCode.O1,
            f"bounded mode: {d_ppm} ppm of {n} devices let {d} drop out; 1 to {n - t} can. "
            "Change d_ppm or the roster's size",
        )
    if a_min - d < t:
        raise Refused(
            RefusalCode.O1,
            f"bounded mode: {a_min} active devices of which {d} drop out leave fewer than the "
            f"{t} that open a sum. Raise A_min_ppm or lower d_ppm",
        )
    crowd = bounded_crowd(n, a, t, a_min, d)
    if crowd < least:
        raise Refused(
            RefusalCode.O1,
            f"bounded mode: {n} devices, of which {d} may drop out, guarantee a crowd of {crowd}; "
            f"{least} is asked. Raise A_min_ppm, lower d_ppm, take more devices or agreed mode",
        )
    return d


def _regular_graph(n: int, claims: Claims) -> Derived:
    """Return the parameters of profile K (4.6 to 4.10)."""
    if not LARGEST_COMPLETE < n <= LARGEST_REGULAR:
        raise Refused(
            RefusalCode.R2,
            f"{n} devices; a random graph takes {LARGEST_COMPLETE + 1} to {LARGEST_REGULAR}",
        )
    if claims.mode != Mode.AGREED:
        raise Refused(RefusalCode.O1, "a random graph runs in agreed mode only (4.2)")
    if claims.sigma < LEAST_SIGMA or claims.eta < LEAST_ETA:
        raise Refused(
            RefusalCode.O1,
            f"sigma {claims.sigma} and eta {claims.eta}; a random graph takes at least "
            f"{LEAST_SIGMA} and {LEAST_ETA} bits",
        )
    from fractions import Fraction  # with decimals, half a megabyte: for random graphs alone

    gamma, delta = (Fraction(ppm, MILLION) for ppm in (claims.gamma_ppm, claims.delta_ppm))
    expected = Expected(n, gamma, delta, claims.sigma, claims.eta)
    try:
        degree, committee = find_degree(expected), find_committee(expected)
    except ParameterError as error:
        raise Refused(RefusalCode.O1, str(error)) from None
    a = expected.colluding
    a_min = max(committee.quorum, expected.staying, _ceil_ppm(claims.a_min_ppm, n))
    u_min = max(claims.least_cohort, a + 2, math.ceil((1 - delta) * a_min))
    if u_min > a_min:
        raise Refused(
            RefusalCode.O1, f"u_min {u_min} exceeds A_min {a_min}: a round of A_min could not end"
        )
    return Derived(
        a=a,
        t=degree.t,
        k=degree.k,
        q=committee.quorum,
        committee=committee.size,
        seeders=find_seeders(expected),
        a_min=a_min,
        u_min=u_min,
        d=0,
        crowd=u_min,
        liars=max(1, colluding_neighbours(expected, degree.k)),
    )


def _ceil_ppm(ppm: int, n: int) -> int:
    return -(-ppm * n // MILLION)
