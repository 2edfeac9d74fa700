"""What the aggregator's owner chooses for an epoch; the rest of the offer follows (section 6).

Rules:
- validated when made, by the same limits that a device with default settings applies, so that an
  offer that nobody can accept is an error here and not silence there.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_crypto.certificates import authority_key_id
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.graph import (
    LARGEST_COMPLETE,
    LEAST_ETA,
    LEAST_SIGMA,
    MILLION,
    Claims,
    Mode,
    Profile,
    largest_roster,
)
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.offer import VERSION, Deadlines, EpochOffer, TemplateStep
from dreamshare_crypto.suite import Suite


@dataclass(frozen=True, slots=True)
class EpochTerms:
    """The terms of an epoch.

    Attributes:
        template: every step that rounds may run, with the greatest clips; `n_max` of each encoding
            is the one below.
        rounds: R, 1..256; see `rounds_for`.
        life_s: seconds from the offer on, 1..86,400.
        gamma_ppm: colluding fraction to withstand, millionths, 0..999,999.
        delta_ppm: vanishing fraction to expect, millionths, 0..999,999.
        sigma, eta: bits; used by profile K only, where they are at least 64 and 20. Devices have a
            floor for sigma in either profile.
        a_min_ppm: least active fraction of a round, millionths; 0 takes the least that is safe.
        least_cohort: least devices in a sum, >= 3.
        n_max: largest roster, least_cohort..128; 129..10,000 in profile K.
        deadlines: most seconds for a stage of the set-up, for collecting, and for revealing.
        suite: symmetric primitives; CHACHA for devices without AES instructions.
        profile: share graph; devices take REGULAR, for rosters above 128, only where their floor
            lists it.
        mode: how survivors are settled; devices take BOUNDED only where their floor lists it.
        d_ppm: most dropouts of bounded mode, millionths of the roster; 0 in agreed mode.
    """

    template: tuple[TemplateStep, ...]
    rounds: int
    life_s: int = 86_400
    gamma_ppm: int = 50_000
    delta_ppm: int = 100_000
    sigma: int = 64
    eta: int = 20
    a_min_ppm: int = 0
    least_cohort: int = 3
    n_max: int = LARGEST_COMPLETE
    deadlines: Deadlines = Deadlines(setup_s=60, collect_s=120, reveal_s=30)
    suite: Suite = Suite.AES
    profile: Profile = Profile.COMPLETE
    mode: Mode = Mode.AGREED
    d_ppm: int = 0

    def __post_init__(self) -> None:
        checks = (
            (1 <= self.rounds <= 256, "rounds must be in 1..256"),
            (1 <= self.life_s <= 86_400, "life_s must be in 1..86,400 seconds"),
            (0 <= self.gamma_ppm < MILLION, "gamma_ppm must be in 0..999,999"),
            (0 <= self.delta_ppm < MILLION, "delta_ppm must be in 0..999,999"),
            (0 <= self.a_min_ppm <= MILLION, "a_min_ppm must be in 0..1,000,000"),
            (self.sigma >= 1 and self.eta >= 1, "sigma and eta must be at least 1 bit"),
            (self.least_cohort >= 3, "least_cohort must be at least 3"),
            (
                self.least_cohort <= self.n_max <= largest_roster(self.profile),
                f"n_max must be in least_cohort..{largest_roster(self.profile)}",
            ),
            (self.suite in tuple(Suite), "suite must be 1 (AES) or 2 (ChaCha20)"),
            (self.profile in tuple(Profile), "profile must be 1 (C) or 2 (K)"),
            (self.mode in tuple(Mode), "mode must be 1 (agreed) or 2 (bounded)"),
            (
                (self.mode == Mode.AGREED) == (self.d_ppm == 0),
                "d_ppm must be 0 in agreed mode and above 0 in bounded mode",
            ),
            *self._regular_checks(),
            (0 <= self.d_ppm <= MILLION, "d_ppm must be in 0..1,000,000"),
            (bool(self.template), "the template needs a step"),
            (
                all(step.params.n_max == self.n_max for step in self.template),
                "the encodings of the template must be made for n_max devices",
            ),
            (
                all(step.params.mode == self.mode for step in self.template),
                "the encodings of the template must be made for the mode",
            ),
            (
                min(self.deadlines.setup_s, self.deadlines.collect_s, self.deadlines.reveal_s) >= 1,
                "deadlines must be at least 1 second",
            ),
        )
        for holds, text in checks:
            if not holds:
                raise ParameterError(f"epoch terms: {text}")

    def _regular_checks(self) -> tuple[tuple[bool, str], ...]:
        """What profile K asks besides (4.2, 4.6)."""
        if self.profile != Profile.REGULAR:
            return ()
        return (
            (self.n_max > LARGEST_COMPLETE, f"profile K is for n_max above {LARGEST_COMPLETE}"),
            (self.mode == Mode.AGREED, "profile K runs in agreed mode only"),
            (
                self.sigma >= LEAST_SIGMA and self.eta >= LEAST_ETA,
                f"profile K takes at least {LEAST_SIGMA} bits of sigma and {LEAST_ETA} of eta",
            ),
        )

    @property
    def claims(self) -> Claims:
        """What thresholds are computed from (4.1)."""
        return Claims(
            profile=self.profile,
            mode=self.mode,
            gamma_ppm=self.gamma_ppm,
            delta_ppm=self.delta_ppm,
            sigma=self.sigma,
            eta=self.eta,
            a_min_ppm=self.a_min_ppm,
            d_ppm=self.d_ppm,
            least_cohort=self.least_cohort,
        )

    def offer(self, identity: Identity, task: bytes, epoch: int, now: float) -> EpochOffer:
        """Return the signed offer of `epoch` by the aggregator of this identity."""
        return EpochOffer(
            version=VERSION,
            min_version=VERSION,
            suite=self.suite,
            profile=self.profile,
            mode=self.mode,
            federation=identity.federation,
            task=task,
            epoch=epoch,
            authority_key_id=authority_key_id(identity.authority_key),
            aggregator=identity.certificate,
            rounds=self.rounds,
            not_before=int(now),
            life_s=self.life_s,
            gamma_ppm=self.gamma_ppm,
            delta_ppm=self.delta_ppm,
            sigma=self.sigma,
            eta=self.eta,
            a_min_ppm=self.a_min_ppm,
            d_ppm=self.d_ppm,
            least_cohort=self.least_cohort,
            n_max=self.n_max,
            template=self.template,
            deadlines=self.deadlines,
            revocations=identity.revocations,
        ).sign(identity.signing)


def rounds_for(sums: int) -> int:
    """Return R for a task that still declares `sums` sums: a tenth more, at most 256 (4.11)."""
    return min(256, -(-11 * max(1, sums) // 10))
