"""What a task's coordinator is told once: who takes part, for how long, and what may be asked.

Rules:
- everything that goes into a signed offer is here, so an offer is a function of these terms and of
  the sums that the task still declares (docs/protocol.md, 4.11 and section 6);
- `steps` names every step of the algorithm with its fields at their greatest bounds; a round may
  lower a bound and nothing else (12.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.privacy.wanted import Noise
from dreamshare.protocol.crowds import DELTA_PPM, GAMMA_PPM, claims_of, guarantee_of
from dreamshare.protocol.events import Asked
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import Spent
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.selection import fault_of
from dreamshare.updates import Field
from dreamshare_crypto.encoding import FieldParams, Params
from dreamshare_crypto.errors import ParameterError, Refused
from dreamshare_crypto.finder import MOST_NEIGHBOURS
from dreamshare_crypto.graph import (
    LARGEST_COMPLETE,
    LARGEST_REGULAR,
    Claims,
    Derived,
    Mode,
    Profile,
    derive_parameters,
)
from dreamshare_crypto.noise import sensitivity, with_noise
from dreamshare_crypto.secagg.epoch_messages import box_bytes
from dreamshare_crypto.secagg.events import Opened
from dreamshare_crypto.secagg.offer import Deadlines as OfferDeadlines
from dreamshare_crypto.secagg.offer import TemplateStep
from dreamshare_crypto.secagg.terms import EpochTerms, rounds_for

MOST_ROUNDS = 256
"""Rounds of an epoch, at most (docs/protocol.md 4.11)."""


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """The terms of one task.

    Attributes:
        algorithm: registered id, e.g. "codream/1".
        steps: fields of each step that is summed, by step name, with greatest bounds.
        cohort: least and most members of a roster, least survivors of a sum. Above 128, devices
            share secrets along a random graph (profile K), which each device's owner has to allow.
        deadlines: seconds for set-up, collecting and revealing.
        weight_cap: W of every step, > 0.
        grace_s: seconds to wait for more devices once the least are here; 0 starts at once.
        life_s: seconds that an epoch lives, 1..86,400.
        gamma_ppm: colluding fraction that the roster withstands, millionths.
        delta_ppm: vanishing fraction, millionths.
        retries: how often a round that was given up is asked again, >= 0.
        noise: of every sum; None without. Its bits are those of every field then.
    """

    algorithm: str
    steps: Mapping[str, tuple[Field, ...]]
    cohort: Cohort
    deadlines: Deadlines = Deadlines()
    weight_cap: float = 1.0
    grace_s: float = 2.0
    life_s: int = 86_400
    gamma_ppm: int = GAMMA_PPM
    delta_ppm: int = DELTA_PPM
    retries: int = 3
    noise: Noise | None = None

    def __post_init__(self) -> None:
        least, most, survivors = self.cohort.least, self.cohort.most, self.cohort.survivors
        deadlines = self.deadlines
        checks = (
            (least >= 3, f"a cohort of {least} protects nobody: least must be 3 or more"),
            (least <= most, f"most {most} is below least {least}"),
            (most <= LARGEST_REGULAR, f"most {most} is above {LARGEST_REGULAR}"),
            (
                most <= LARGEST_COMPLETE or least > LARGEST_COMPLETE,
                f"most {most} asks for a random graph (profile K), which takes rosters above "
                f"{LARGEST_COMPLETE}: raise least {least} to {LARGEST_COMPLETE + 1}, or lower most",
            ),
            (
                survivors == 0 or 3 <= survivors <= least,
                f"survivors {survivors} must be 0 or in 3..{least} (least)",
            ),
            (
                min(deadlines.setup_s, deadlines.collect_s, deadlines.reveal_s) >= 1,
                "every deadline must be at least 1 second",
            ),
            (
                deadlines.setup_s + deadlines.collect_s + deadlines.reveal_s <= self.life_s / 2,
                f"the deadlines together must be at most {self.life_s / 2:g} seconds, half of an "
                "epoch's life",
            ),
            (
                0 <= self.cohort.dropouts < 1,
                f"dropouts {self.cohort.dropouts} must be a part of a roster, 0 to below 1",
            ),
            (not fault_of(self.cohort), fault_of(self.cohort)),
            (
                0 <= deadlines.adapt_s <= min(deadlines.collect_s, deadlines.reveal_s),
                f"adapt_s {deadlines.adapt_s} must be 0, or at most the deadlines that it lowers",
            ),
            (self.grace_s >= 0, "grace_s must not be negative"),
            (1 <= self.life_s <= 86_400, "life_s must be in 1..86,400 seconds"),
            (self.retries >= 0, "retries must not be negative"),
        )
        for holds, text in checks:
            if not holds:
                raise ConfigError(f"task terms: {text}")
        if self.cohort.dropouts:
            guarantee_of(self.cohort, self.gamma_ppm)

    def epoch(self, sums: int) -> EpochTerms:
        """Return the terms of an epoch for a task that still needs `sums` sums (4.11).

        Raises:
            ConfigError: a step's fields do not fit the encoding of `cohort.most` devices.
        """
        claims = self._claims()
        deadlines = self.deadlines
        try:
            return EpochTerms(
                template=self._template(),
                rounds=rounds_for(sums),
                life_s=self.life_s,
                gamma_ppm=claims.gamma_ppm,
                delta_ppm=claims.delta_ppm,
                sigma=claims.sigma,
                eta=claims.eta,
                a_min_ppm=claims.a_min_ppm,
                d_ppm=claims.d_ppm,
                least_cohort=claims.least_cohort,
                suite=self.cohort.suite,
                mode=Mode(claims.mode),
                n_max=self.cohort.most,
                profile=Profile(claims.profile),
                deadlines=OfferDeadlines(
                    math.ceil(deadlines.setup_s),
                    math.ceil(deadlines.collect_s),
                    math.ceil(deadlines.reveal_s),
                ),
            )
        except ParameterError as error:
            raise ConfigError(f"task terms: {error}") from error

    def encoding(self, fields: tuple[Field, ...]) -> Params:
        """Return how a round encodes these fields, but for what its session adds (12.1).

        Raises:
            ConfigError: the fields, or their noise, do not fit the encoding of `cohort.most`
                devices.
        """
        noise, quiet = self.noise, self._quiet(fields)
        if noise is None:
            return quiet
        try:
            return with_noise(quiet, noise.clip, noise.multiplier, noise.crowd)
        except ParameterError as error:
            raise ConfigError(f"noise of {self.algorithm}: {error}") from error

    @property
    def largest_answer(self) -> int:
        """Bytes of the largest message of a device: a vector, or its boxes (6.5, 7.2)."""
        vectors = (8 * self.encoding(fields).words for fields in self.steps.values())
        boxes = min(self.cohort.most, MOST_NEIGHBOURS) * box_bytes(MOST_ROUNDS)
        return max(boxes, *vectors)

    def opening(self, plan: RoundPlan, fields: tuple[Field, ...], times: Deadlines) -> Opened:
        """Return what opens a round for `plan` with these deadlines; ConfigError as above."""
        encoding = self.encoding(fields)
        return Opened(plan.payload().hash, encoding, times.collect_s, times.reveal_s)

    def _quiet(self, fields: tuple[Field, ...]) -> Params:
        n_max, noise = self.cohort.most, self.noise
        sizes = ((f.size, f.bits if noise is None else noise.bits, f.bound) for f in fields)
        try:
            return Params(
                mode=Mode.BOUNDED if self.cohort.dropouts else Mode.AGREED,
                fields=tuple(FieldParams.create(*size, n_max) for size in sizes),
                n_max=n_max,
                a_min=0,
                u_min=0,
                d=0,
                l2_clip=0.0,
                weight_cap=self.weight_cap,
                noise_variance=0.0,
                noise_scale=0.0,
                tail=0,
                round_nonce=bytes(16),
            )
        except ParameterError as error:
            raise ConfigError(f"fields of {self.algorithm}: {error}") from error

    def _claims(self) -> Claims:
        return claims_of(self.cohort, self.gamma_ppm, self.delta_ppm)

    def derived(self, roster: int) -> Derived:
        """Return the thresholds of an epoch with a roster of this size (4.1).

        Raises:
            ConfigError: a roster of this size has none.
        """
        try:
            return derive_parameters(roster, self._claims())
        except Refused as error:
            raise ConfigError(f"task terms: {error}") from error

    def fewest(self, roster: int, active: int) -> int:
        """Return how many answers a round needs at least, open to `active` devices (7.3, 7.5).

        Raises:
            ConfigError: a roster of this size has no thresholds.
        """
        derived = self.derived(roster)
        return max(derived.u_min, derived.t, active - derived.d if derived.d else 0)

    def spent(self, fields: tuple[Field, ...], roster: int, survivors: int) -> Spent | None:
        """Return what a round over these fields cost; None without noise.

        Args:
            roster: size of the epoch's roster.
            survivors: devices in the sum; 0 where none was opened.
        """
        if self.noise is None:
            return None
        charge, derived = sensitivity(self.encoding(fields)), self.derived(roster)
        honest = derived.crowd - derived.a
        share = max(0, survivors - derived.a) / honest
        return Spent(charge, honest, charge.multiplier * math.sqrt(share))

    def check(self, asked: Asked) -> None:
        """Check that an order is one of these terms; ConfigError names what is not declared."""
        step = asked.plan.step
        declared = self.steps.get(step)
        if asked.plan.algorithm != self.algorithm or declared is None:
            raise ConfigError(f"{asked.plan.algorithm} declares no step {step!r} for sums")
        same = [(f.name, f.shape, f.bits) for f in asked.fields]
        if same != [(f.name, f.shape, f.bits) for f in declared]:
            raise ConfigError(f"step {step!r} asks for fields that it does not declare")
        for f, most in zip(asked.fields, declared, strict=True):
            if f.bound > most.bound:
                raise ConfigError(
                    f"step {step!r}: bound {f.bound} of {f.name} is above the declared {most.bound}"
                )
        if asked.weight_cap != self.weight_cap:
            raise ConfigError(
                f"step {step!r}: weight cap {asked.weight_cap}, declared {self.weight_cap}"
            )

    def _template(self) -> tuple[TemplateStep, ...]:
        return tuple(
            TemplateStep(self.algorithm, step, self.encoding(fields))
            for step, fields in sorted(self.steps.items())
        )
