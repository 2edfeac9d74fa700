"""Who holds whose shares and how many it takes: the parameters of a roster (section 4).

Rules:
- every party computes thresholds itself from the roster size and the offer's claims and takes
  none from the wire (docs/protocol.md 4.1);
- this release runs profile C (complete graph, n <= 128) and agreed mode. The other values
  exist as numbers, so that they can be read and refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dreamshare_crypto.errors import RefusalCode, Refused
from dreamshare_crypto.transcript import Writer

MILLION = 1_000_000
LARGEST_COMPLETE = 128
"""Most members of a roster in profile C (4.2)."""


class Profile(IntEnum):
    """Share graph (4.2)."""

    COMPLETE = 1  # profile C
    REGULAR = 2  # profile K; not in this release


class Mode(IntEnum):
    """How survivors are settled (7.4, 7.5)."""

    AGREED = 1
    BOUNDED = 2  # not in this release


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
        d: most dropouts that a survivors' bitmap may declare; 0 in agreed mode (4.5).
        crowd: E, the least devices whose sum can ever be opened; honest ones are E - a (1.3, 1.4).
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
    """Return the parameters of a roster of `n` in profile C, agreed mode (4.1 to 4.4).

    Raises:
        Refused: R2 for a roster size outside 3..128 or below `least_cohort`; O1 for claims that
            leave no threshold, or more survivors demanded than active devices.
    """
    fractions = (claims.gamma_ppm, claims.delta_ppm, claims.a_min_ppm)
    if not all(0 <= fraction <= MILLION for fraction in fractions):
        raise Refused(RefusalCode.O1, "a fraction of the offer is not in 0..10^6 millionths")
    if claims.sigma < 1 or claims.eta < 1:
        raise Refused(RefusalCode.O1, "sigma and eta are at least 1 bit")
    least_cohort = claims.least_cohort
    if least_cohort < 3:
        raise Refused(RefusalCode.O1, f"a least cohort of {least_cohort}; sums take at least 3")
    if n < least_cohort:
        raise Refused(RefusalCode.R2, f"{n} devices; the least cohort is {least_cohort}")
    if n > LARGEST_COMPLETE:
        raise Refused(
            RefusalCode.R2, f"{n} devices; a complete graph takes at most {LARGEST_COMPLETE}"
        )
    a = 0 if n == 3 else max(1, _ceil_ppm(claims.gamma_ppm, n))
    t = (n + a) // 2 + 1
    if t > n:
        raise Refused(RefusalCode.O1, f"gamma leaves no threshold: {a} colluders of {n}")
    u_min = max(t, least_cohort, a + 2)
    a_min = 3 if n == 3 else max(t, _ceil_ppm(claims.a_min_ppm, n))
    if u_min > a_min:
        raise Refused(
            RefusalCode.O1, f"u_min {u_min} exceeds A_min {a_min}: a round of A_min could not end"
        )
    return Derived(
        a=a, t=t, k=0, q=t, committee=n, seeders=0, a_min=a_min, u_min=u_min, d=0, crowd=u_min
    )


def _ceil_ppm(ppm: int, n: int) -> int:
    return -(-ppm * n // MILLION)
