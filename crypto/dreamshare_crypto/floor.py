"""A device's floor: what its own operator insists on, whatever is signed (docs/protocol.md 4.12).

Rules:
- the floor is configuration of the device and never comes from the wire;
- what lies outside it is refused with its code: O1 and R2 in set-up, S5 to S7 in rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.graph import MILLION, Mode, Profile
from dreamshare_crypto.suite import Suite


@dataclass(frozen=True, slots=True)
class Floor:
    """What a device insists on, whatever is signed (4.12). Set by its own operator.

    Attributes:
        least_cohort: least devices in a sum, >= 3.
        gamma_ppm: least colluding fraction that an offer must withstand, millionths; default 5 %.
        sigma: least security of random graphs, bits.
        modes: modes accepted; AGREED alone by default. BOUNDED saves a message each way and
            guarantees a smaller crowd (1.4, 4.5).
        profiles: share graphs accepted; COMPLETE alone by default. REGULAR, for rosters above 128,
            rests on a random graph and on who colludes being fixed before (15.7).
        suites: suites accepted; both by default, which differ in speed and not in strength.
        versions: protocol versions accepted.
        min_bits: least q of a field, 8..20.
        max_bits: greatest q of a field, min_bits..20.
        max_rounds: most rounds of an epoch, 1..256.
        max_life_s: longest epoch, seconds, 1..86,400.
        max_clip: greatest clip C of a field, > 0 (12.2).
        max_vector_words: longest masked vector, 8-byte words; default 2^27 words (1 GiB).
        draws: most answers to one payload without its draw (13.3), >= 1.
        monotone_active: refuse a device that was left out and returns within an epoch (13.1).
        least_change: m of 13.4: refuse a round whose active devices differ from those of the last
            answered one by fewer than this, unless by none; 0 for no such rule.
        version_resets: ids of aggregators that may offer a lower version than before (14.6).
        memory_s: how long answered payloads are remembered, seconds (13.3); default 30 days.
        memory_size: how many answered payloads are remembered (13.3).
        min_noise: least noise multiplier of a step, 0 for none: standard deviation of the noise
            under the sum over what one device can move it by (12.6).
        epsilon: most privacy loss in `budget_s`, all tasks together; inf for no limit. With a limit
            steps without noise are refused.
        delta: at which epsilon is counted, 0 to 1; well below one over the number of devices.
        budget_s: how long a charge counts, seconds, >= 1; default 30 days.
        revocation_grace_s: how long past next_update a revocation list still serves (5.7), seconds.
    """

    least_cohort: int = 3
    gamma_ppm: int = 50_000
    sigma: int = 64
    modes: tuple[int, ...] = (Mode.AGREED,)
    profiles: tuple[int, ...] = (Profile.COMPLETE,)
    suites: tuple[int, ...] = (Suite.AES, Suite.CHACHA)
    versions: tuple[int, ...] = (1,)
    min_bits: int = 8
    max_bits: int = 20
    max_rounds: int = 256
    max_life_s: int = 86_400
    max_clip: float = 1e9
    max_vector_words: int = 2**27
    draws: int = 3
    monotone_active: bool = True
    least_change: int = 0
    version_resets: tuple[bytes, ...] = ()
    memory_s: int = 30 * 86_400
    memory_size: int = 65_536
    min_noise: float = 0.0
    epsilon: float = math.inf
    delta: float = 1e-6
    budget_s: int = 30 * 86_400
    revocation_grace_s: int = 86_400

    def __post_init__(self) -> None:
        checks = (
            (self.least_cohort >= 3, "least_cohort must be at least 3"),
            (0 <= self.gamma_ppm < MILLION, "gamma_ppm must be in 0..999,999 millionths"),
            (self.sigma >= 1, "sigma must be at least 1 bit"),
            (bool(self.modes), "modes must name at least one mode"),
            (set(self.modes) <= set(Mode), "modes must be among 1 (agreed) and 2 (bounded)"),
            (bool(self.profiles), "profiles must name at least one profile"),
            (set(self.profiles) <= set(Profile), "profiles must be among 1 (C) and 2 (K)"),
            (bool(self.suites), "suites must name at least one suite"),
            (set(self.suites) <= set(Suite), "suites must be among 1 (AES) and 2 (ChaCha20)"),
            (tuple(self.versions) == (1,), "only protocol version 1 is in this release"),
            (8 <= self.min_bits <= self.max_bits <= 20, "bits must be within 8..20"),
            (1 <= self.max_rounds <= 256, "max_rounds must be in 1..256"),
            (1 <= self.max_life_s <= 86_400, "max_life_s must be in 1..86,400 seconds"),
            (0 < self.max_clip < math.inf, "max_clip must be finite and above 0"),
            (2 <= self.max_vector_words <= 2**33, "max_vector_words must be in 2..2^33"),
            (self.draws >= 1, "draws must be at least 1"),
            (self.least_change >= 0, "least_change must not be negative"),
            (
                all(len(aggregator) == 16 for aggregator in self.version_resets),
                "version_resets must be aggregators' ids of 16 bytes",
            ),
            (self.memory_s >= 0, "memory_s must not be negative"),
            (self.memory_size >= 1, "memory_size must be at least 1"),
            (0 <= self.min_noise < math.inf, "min_noise must be finite and not negative"),
            (self.epsilon > 0, "epsilon must be above 0"),
            (0 < self.delta < 1, "delta must lie between 0 and 1"),
            (self.budget_s >= 1, "budget_s must be at least 1 second"),
            (self.revocation_grace_s >= 0, "revocation_grace_s must not be negative"),
        )
        for holds, text in checks:
            if not holds:
                raise ParameterError(f"device floor: {text}")
