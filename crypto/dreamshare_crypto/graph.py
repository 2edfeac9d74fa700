"""Who holds whose shares and how many it takes: parameters and a device's floor (section 4).

Rules:
- every party computes thresholds itself from the roster size and the offer's claims and takes
  none from the wire (docs/protocol.md 4.1);
- the floor is the device's own configuration; what lies below it is refused, whatever is signed;
- this release runs profile C (complete graph, n <= 128), agreed mode and suite 1. The other values
  exist as numbers, so that they can be read and refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from dreamshare_crypto.errors import ParameterError, RefusalCode, Refused
from dreamshare_crypto.transcript import Writer

MILLION = 1_000_000
LARGEST_COMPLETE = 128
"""Most members of a roster in profile C (4.2)."""


class Suite(IntEnum):
    """Symmetric primitives (2.6)."""

    AES = 1  # AES-256-GCM, AES-256-CTR masks
    CHACHA = 2  # ChaCha20-Poly1305; not in this release


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
    """

    a: int
    t: int
    k: int
    q: int
    committee: int
    seeders: int
    a_min: int
    u_min: int

    def encode(self) -> bytes:
        """Return `derived` as it goes into sid: u32 a, t, k, q, K, m, A_min (4.1)."""
        writer = Writer()
        for value in (self.a, self.t, self.k, self.q, self.committee, self.seeders, self.a_min):
            writer.u32(value)
        return writer.finish()


def derive_parameters(
    n: int,
    gamma_ppm: int,
    delta_ppm: int,
    sigma: int,
    eta: int,
    a_min_ppm: int,
    least_cohort: int,
) -> Derived:
    """Return the parameters of a roster of `n` in profile C, agreed mode (4.1 to 4.4).

    Args:
        n: roster size, 3..128.
        gamma_ppm: colluding fraction in millionths, 0..10^6.
        delta_ppm: vanishing fraction in millionths, 0..10^6; bounds nothing in profile C.
        sigma: security of random graphs in bits; bounds nothing in profile C.
        eta: correctness of random graphs in bits; bounds nothing in profile C.
        a_min_ppm: least active fraction in millionths, 0..10^6.
        least_cohort: least devices in a sum, >= 3.

    Raises:
        Refused: R2 for a roster size outside 3..128 or below `least_cohort`; O1 for claims that
            leave no threshold, or more survivors demanded than active devices.
    """
    if max(gamma_ppm, delta_ppm, a_min_ppm) > MILLION or min(gamma_ppm, delta_ppm, a_min_ppm) < 0:
        raise Refused(RefusalCode.O1, "a fraction of the offer is not in 0..10^6 millionths")
    if sigma < 1 or eta < 1:
        raise Refused(RefusalCode.O1, "sigma and eta are at least 1 bit")
    if least_cohort < 3:
        raise Refused(RefusalCode.O1, f"a least cohort of {least_cohort}; sums take at least 3")
    if n < least_cohort:
        raise Refused(RefusalCode.R2, f"{n} devices; the least cohort is {least_cohort}")
    if n > LARGEST_COMPLETE:
        raise Refused(
            RefusalCode.R2, f"{n} devices; a complete graph takes at most {LARGEST_COMPLETE}"
        )
    a = 0 if n == 3 else max(1, _ceil_ppm(gamma_ppm, n))
    t = (n + a) // 2 + 1
    if t > n:
        raise Refused(RefusalCode.O1, f"gamma leaves no threshold: {a} colluders of {n}")
    u_min = max(t, least_cohort, a + 2)
    a_min = 3 if n == 3 else max(t, _ceil_ppm(a_min_ppm, n))
    if u_min > a_min:
        raise Refused(
            RefusalCode.O1, f"u_min {u_min} exceeds A_min {a_min}: a round of A_min could not end"
        )
    return Derived(a=a, t=t, k=0, q=t, committee=n, seeders=0, a_min=a_min, u_min=u_min)


def _ceil_ppm(ppm: int, n: int) -> int:
    return -(-ppm * n // MILLION)


@dataclass(frozen=True, slots=True)
class Floor:
    """What a device insists on, whatever is signed (4.12). Set by its own operator.

    Attributes:
        least_cohort: least devices in a sum, >= 3.
        gamma_ppm: least colluding fraction that an offer must withstand, millionths; default 5 %.
        sigma: least security of random graphs, bits.
        modes: modes accepted; this release runs AGREED alone.
        profiles: share graphs accepted; this release runs COMPLETE alone.
        suites: suites accepted; this release runs AES alone.
        versions: protocol versions accepted.
        min_bits: least q of a field, 8..20.
        max_bits: greatest q of a field, min_bits..20.
        max_rounds: most rounds of an epoch, 1..256.
        max_life_s: longest epoch, seconds, 1..86,400.
        max_clip: greatest clip C of a field, > 0 (12.2).
        max_vector_words: longest masked vector, 8-byte words; default 2^27 words (1 GiB).
        draws: most answers to one payload without its draw (13.3), >= 1.
        monotone_active: refuse a device that was left out and returns within an epoch (13.1).
        memory_s: how long answered payloads are remembered, seconds (13.3); default 30 days.
        memory_size: how many answered payloads are remembered (13.3).
        revocation_grace_s: how long past next_update a revocation list still serves (5.7), seconds.
    """

    least_cohort: int = 3
    gamma_ppm: int = 50_000
    sigma: int = 64
    modes: tuple[int, ...] = (Mode.AGREED,)
    profiles: tuple[int, ...] = (Profile.COMPLETE,)
    suites: tuple[int, ...] = (Suite.AES,)
    versions: tuple[int, ...] = (1,)
    min_bits: int = 8
    max_bits: int = 20
    max_rounds: int = 256
    max_life_s: int = 86_400
    max_clip: float = 1e9
    max_vector_words: int = 2**27
    draws: int = 3
    monotone_active: bool = True
    memory_s: int = 30 * 86_400
    memory_size: int = 65_536
    revocation_grace_s: int = 86_400

    def __post_init__(self) -> None:
        checks = (
            (self.least_cohort >= 3, "least_cohort must be at least 3"),
            (0 <= self.gamma_ppm < MILLION, "gamma_ppm must be in 0..999,999 millionths"),
            (self.sigma >= 1, "sigma must be at least 1 bit"),
            (tuple(self.modes) == (Mode.AGREED,), "only agreed mode is in this release"),
            (tuple(self.profiles) == (Profile.COMPLETE,), "only profile C is in this release"),
            (tuple(self.suites) == (Suite.AES,), "only suite 1 is in this release"),
            (tuple(self.versions) == (1,), "only protocol version 1 is in this release"),
            (8 <= self.min_bits <= self.max_bits <= 20, "bits must be within 8..20"),
            (1 <= self.max_rounds <= 256, "max_rounds must be in 1..256"),
            (1 <= self.max_life_s <= 86_400, "max_life_s must be in 1..86,400 seconds"),
            (0 < self.max_clip < math.inf, "max_clip must be finite and above 0"),
            (2 <= self.max_vector_words <= 2**33, "max_vector_words must be in 2..2^33"),
            (self.draws >= 1, "draws must be at least 1"),
            (self.memory_s >= 0, "memory_s must not be negative"),
            (self.memory_size >= 1, "memory_size must be at least 1"),
            (self.revocation_grace_s >= 0, "revocation_grace_s must not be negative"),
        )
        for holds, text in checks:
            if not holds:
                raise ParameterError(f"device floor: {text}")
