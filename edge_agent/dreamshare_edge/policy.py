"""The device's own floor: what it refuses, whatever is signed (docs/protocol.md 4.12).

Rules:
- the policy comes from the device's owner, never from the aggregator;
- `floor()` is what the secure-aggregation machine enforces on offers and rounds;
- `admit()` is what the agent asks before it computes: it raises, it never returns a bool;
- noise and budget are clauses of the floor too: the machine knows what a round costs, a plan alone
  does not say it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from dreamshare.errors import BudgetExhausted, ConfigError, PrivacyError
from dreamshare.learning.guarding import LEAST_CLASS_COUNT
from dreamshare.learning.programs import Wanted
from dreamshare.protocol.plan import RoundPlan
from dreamshare.settings import setting
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Mode, Profile
from dreamshare_crypto.suite import Suite
from dreamshare_edge.budgets import Used
from dreamshare_edge.conditions import Conditions

if TYPE_CHECKING:
    from dreamshare.algorithms.base import Disclosure

PROGRAMS = "autodiff/1"
"""The algorithm whose steps name programs."""

_SUITES = {"aes": Suite.AES, "chacha": Suite.CHACHA}
_PROFILES = {"complete": Profile.COMPLETE, "regular": Profile.REGULAR}
_MODES = {"agreed": Mode.AGREED, "bounded": Mode.BOUNDED}
_ID = re.compile(r"[0-9a-f]{32}")
_PROGRAM = re.compile(r"[a-z][a-z0-9_]{0,47}/[1-9][0-9]{0,5}:(value|vjp|jvp|hvp)")
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


def _minutes(hours: str) -> tuple[int, int]:
    """Return the first minute of the day and the first one after; raises ConfigError."""
    found = _HOURS.fullmatch(hours)
    numbers = [] if found is None else [int(each) for each in found.groups()]
    if not numbers or max(numbers[0::2]) > 23 or max(numbers[1::2]) > 59:
        raise ConfigError(f"policy: quiet_hours {hours!r} must read 'HH:MM-HH:MM'")
    first, after = 60 * numbers[0] + numbers[1], 60 * numbers[2] + numbers[3]
    if first == after:
        raise ConfigError(f"policy: quiet_hours {hours!r} begin when they end")
    return first, after


def _is_within(minute: int, hours: str) -> bool:
    first, after = _minutes(hours)
    return first <= minute < after if first < after else minute >= first or minute < after


def _known(names: tuple[str, ...], known: Mapping[str, IntEnum]) -> bool:
    return bool(names) and known.keys() >= set(names)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a device's owner allows; every field's meaning, unit and range is its setting text."""

    least_cohort: int = setting(
        "Fewest devices in a sum that this one joins, 3 or more. 3 tolerates no dropout.",
        default=3,
    )
    gamma: float = setting(
        "Part of a roster that may collude with the aggregator, 0 to 0.33; offers that assume "
        "less are refused.",
        default=0.05,
    )
    profiles: tuple[str, ...] = setting(
        "Share graphs to take part in: 'complete' for rosters up to 128 devices, 'regular' for "
        "larger ones. Regular graphs are drawn at random and hold against colluders who were "
        "chosen before (docs/protocol.md 15.7).",
        default=("complete",),
    )
    sigma: int = setting("Least statistical security in bits, 40 to 128.", default=64)
    suites: tuple[str, ...] = setting(
        "Ciphers that an epoch may run on: 'aes', 'chacha' (docs/protocol.md 2.6).",
        default=("aes", "chacha"),
    )
    modes: tuple[str, ...] = setting(
        "How survivors of a round may be settled: 'agreed', 'bounded'. Bounded mode saves a "
        "message each way; an aggregator that lies can then shrink the crowd of a sum to the "
        "figure that the agent logs when it joins an epoch (docs/protocol.md 4.5).",
        default=("agreed",),
    )
    algorithms: tuple[str, ...] = setting(
        "Algorithms that may run, e.g. 'codream/1'. Empty: all that the agent was given.",
        default=(),
    )
    refused_steps: tuple[str, ...] = setting(
        "Steps that may not run although their algorithm may, e.g. 'codream/1:labels'.",
        default=(),
    )
    captions: int = setting(
        "Most captions of its own pictures, in words, that this device lets a task read, 0 or "
        "more; the aggregator reads every one of them, without who wrote it. 0: none, such steps "
        "are refused. The same ones are shown to every task (docs/algorithms/generative.md).",
        default=0,
    )
    captions_least: int = setting(
        "Fewest of the device's own pictures that must have a caption word for word, 1 or more; "
        "tasks that would show rarer ones are refused.",
        default=5,
    )
    programs: tuple[str, ...] = setting(
        "Programs that autodiff/1 may evaluate, each with a transform, e.g. 'logistic/1:value', "
        "'logistic/1:vjp'; transforms are value, vjp, jvp and hvp. Empty: none.",
        default=(),
    )
    rounds_per_day: int | None = setting(
        "Most rounds answered in 24 hours, all tasks together, 1 or more. Absent: no limit.",
        default=None,
        example=400,
    )
    bytes_per_day: int | None = setting(
        "Most bytes sent and received in 24 hours, 1 or more; a round that was begun is finished. "
        "Absent: no limit.",
        default=None,
        example=200_000_000,
    )
    epsilon_per_month: float | None = setting(
        "Privacy budget (epsilon) for 30 days, all tasks together, above 0. When set, tasks "
        "without noise are refused, and rounds that would go beyond it. Absent: no limit.",
        default=None,
        example=8.0,
    )
    delta: float = setting(
        "At which epsilon is counted, above 0 and below 1; well below one over the number of "
        "devices.",
        default=1e-6,
    )
    min_noise: float = setting(
        "Least noise of a sum: its standard deviation over what one device can move the sum by, 0 "
        "or more. Tasks with less are refused.",
        default=0.0,
    )
    least_class_count: int = setting(
        "Fewest examples of a class that this device lets into a sum of moments by class "
        "(moments/1, generative/1), 1 or more; of a class with fewer it answers zeros, whatever "
        "minimum the aggregator announces. A sum with noise for each example needs none and has "
        "none.",
        default=LEAST_CLASS_COUNT,
    )
    tasks_at_once: int = setting(
        "How many tasks compute at a time, 1 or more. Above 1 the learner is called from as many "
        "threads at once and has to stand that.",
        default=1,
    )
    wait_for_turn_s: float = setting(
        "Seconds that a round waits while the device computes for other tasks, above 0; then it is "
        "declined, so that nobody waits for longer.",
        default=60.0,
    )
    on_charger: bool = setting("Compute only on external power.", default=False)
    unmetered: bool = setting("Compute only on an unmetered network.", default=False)
    idle: bool = setting("Compute only while nobody uses the device.", default=False)
    battery_floor: int | None = setting(
        "Least charge of the battery in percent, 1 to 100; a device on mains without a battery has "
        "100. Absent: no limit.",
        default=None,
        example=40,
    )
    quiet_hours: tuple[str, ...] = setting(
        "Hours of the device's own time in which nothing is computed, e.g. '08:00-22:00' or, over "
        "midnight, '22:00-06:00'.",
        default=(),
    )
    unknown_allows: bool = setting(
        "Whether 'cannot tell' counts as allowed for on_charger, unmetered, idle, battery_floor "
        "and quiet_hours.",
        default=False,
    )
    draws: int = setting(
        "Most answers for one payload, redraws included, 1 to 16 (docs/protocol.md 13.3).",
        default=3,
    )
    monotone_active: bool = setting(
        "Refuse rounds whose active set regained a device (docs/protocol.md 13.1).", default=True
    )
    least_change: int = setting(
        "Refuse a round whose devices differ from those of the last answered one by fewer than "
        "this, 0 or more; 0: no such rule. One dropout may then stop a task until as many devices "
        "have changed (docs/protocol.md 13.4).",
        default=0,
    )
    version_resets: tuple[str, ...] = setting(
        "Ids (32 hex digits) of aggregators that may offer a lower protocol version than before. "
        "List one when a step back is meant, and take it out again when it is done "
        "(docs/protocol.md 14.6).",
        default=(),
    )
    resume_without_anchor: bool = setting(
        "Go on with open sessions although the rollback anchor is missing, as after a reboot. It "
        "costs: a device whose disk was restored from a copy or cloned may then answer one round "
        "twice, for two crowds, and the difference of the sums can be a single device's vector. "
        "Off: such a device waits for the next epoch (docs/protocol.md 9.7).",
        default=False,
    )
    min_bits: int = setting("Coarsest fixed-point resolution in bits, 8 to 20.", default=8)
    max_clip: float = setting(
        "Largest bound of a coordinate that a round may declare, above 0. Counts of examples and "
        "sums of losses need large ones.",
        default=1e9,
    )
    max_vector_words: int = setting(
        "Longest masked vector in 64-bit words, 2 or more (4,000,000 words are 32 MB).",
        default=4_000_000,
    )

    def __post_init__(self) -> None:
        def must(holds: bool, name: str, wanted: str) -> None:
            if not holds:
                raise ConfigError(f"policy: {name} is {getattr(self, name)}; it must be {wanted}")

        must(self.least_cohort >= 3, "least_cohort", "3 or more")
        must(0 <= self.gamma <= 0.33, "gamma", "0 to 0.33")
        must(_known(self.profiles, _PROFILES), "profiles", "a list of " + " and ".join(_PROFILES))
        must(40 <= self.sigma <= 128, "sigma", "40 to 128")
        must(_known(self.suites, _SUITES), "suites", "a list of some of " + ", ".join(_SUITES))
        must(_known(self.modes, _MODES), "modes", "a list of some of " + ", ".join(_MODES))
        must(self.least_change >= 0, "least_change", "0 or more")
        must(all(_ID.fullmatch(i) for i in self.version_resets), "version_resets", "32 hex digits")
        must(self.captions >= 0, "captions", "0 or more")
        must(self.captions_least >= 1, "captions_least", "1 or more")
        must(self.rounds_per_day is None or self.rounds_per_day >= 1, "rounds_per_day", ">= 1")
        must(self.bytes_per_day is None or self.bytes_per_day >= 1, "bytes_per_day", ">= 1")
        floor = self.battery_floor
        must(floor is None or 1 <= floor <= 100, "battery_floor", "1 to 100 percent")
        epsilon = self.epsilon_per_month
        must(epsilon is None or 0 < epsilon < math.inf, "epsilon_per_month", "above 0 and finite")
        must(0 < self.delta < 1, "delta", "above 0 and below 1")
        must(0 <= self.min_noise < math.inf, "min_noise", "0 or more and finite")
        for hours in self.quiet_hours:
            _minutes(hours)
        must(self.least_class_count >= 1, "least_class_count", "1 or more")
        must(self.tasks_at_once >= 1, "tasks_at_once", "1 or more")
        must(0 < self.wait_for_turn_s < math.inf, "wait_for_turn_s", "above 0 and finite")
        must(1 <= self.draws <= 16, "draws", "1 to 16")
        must(8 <= self.min_bits <= 20, "min_bits", "8 to 20")
        must(0 < self.max_clip < math.inf, "max_clip", "above 0 and finite")
        must(self.max_vector_words >= 2, "max_vector_words", "2 or more")
        for program in self.programs:
            if not _PROGRAM.fullmatch(program):
                raise ConfigError(f"policy: program {program!r} must read 'name/1:transform'")
        for step in self.refused_steps:
            if ":" not in step:
                raise ConfigError(f"policy: refused step {step!r} must read 'algorithm:step'")

    def floor(self) -> Floor:
        """Return what the secure-aggregation machine enforces (docs/protocol.md 4.12)."""
        return Floor(
            least_cohort=self.least_cohort,
            gamma_ppm=round(self.gamma * 1_000_000),
            profiles=tuple(_PROFILES[name] for name in self.profiles),
            sigma=self.sigma,
            modes=tuple(_MODES[name] for name in self.modes),
            suites=tuple(_SUITES[name] for name in self.suites),
            least_change=self.least_change,
            version_resets=tuple(bytes.fromhex(i) for i in self.version_resets),
            min_bits=self.min_bits,
            max_clip=self.max_clip,
            draws=self.draws,
            monotone_active=self.monotone_active,
            max_vector_words=self.max_vector_words,
            min_noise=self.min_noise,
            epsilon=math.inf if self.epsilon_per_month is None else self.epsilon_per_month,
            delta=self.delta,
        )

    def allows(self, algorithm: str) -> bool:
        """Whether the policy names this algorithm (an empty list names them all)."""
        return not self.algorithms or algorithm in self.algorithms

    def admit(self, plan: RoundPlan, conditions: Conditions, used: Used) -> None:
        """Return when this round may be computed now.

        Args:
            used: rounds and bytes of the last 24 hours.

        Raises:
            ConfigError: the owner does not allow this algorithm or step (refusal S6).
            BudgetExhausted: the rounds or bytes of the day are used up (S6).
            PrivacyError: not under these conditions (S6).
        """
        if not self.allows(plan.algorithm):
            raise ConfigError(
                f"the policy does not name {plan.algorithm}; its algorithms are "
                f"{', '.join(self.algorithms)}"
            )
        if f"{plan.algorithm}:{plan.step}" in self.refused_steps:
            raise ConfigError(
                f"the policy refuses the step {plan.step} of {plan.algorithm} (refused_steps)"
            )
        if plan.algorithm == PROGRAMS:
            self._check_program(plan.step)
        self.check_conditions(conditions)
        self.check_budgets(used)

    def check_disclosure(self, plan: RoundPlan, disclosure: Disclosure | None) -> None:
        """Return when what the step shows of single examples is no more than the owner allows.

        Raises:
            PrivacyError: it is more (S6).
        """
        if disclosure is None:
            return
        if disclosure.captions > self.captions:
            raise PrivacyError(
                f"the step {plan.step} of {plan.algorithm} shows the aggregator up to "
                f"{disclosure.captions} captions of this device; the policy's captions allows "
                f"{self.captions}"
            )
        if disclosure.least < self.captions_least:
            raise PrivacyError(
                f"the step {plan.step} of {plan.algorithm} shows captions that "
                f"{disclosure.least} pictures have; the policy's captions_least asks for "
                f"{self.captions_least}"
            )

    def _check_program(self, step: str) -> None:
        """Return when the owner allows an evaluation; raises ConfigError."""
        wanted = Wanted.parse(step)
        refused = [
            name
            for name in (f"{wanted.program}:{each}" for each in wanted.transforms)
            if name not in self.programs
        ]
        if refused:
            raise ConfigError(
                f"the policy does not name {', '.join(refused)} among its programs, which are "
                f"{', '.join(self.programs) or 'none'}"
            )

    def check_budgets(self, used: Used) -> None:
        """Return when one more round may be answered.

        Asked twice: when a round is opened, and when it is charged, since several tasks may open
        rounds before the first of them is charged.

        Raises:
            BudgetExhausted: the rounds or bytes of the day are used up (S6).
        """
        if self.rounds_per_day is not None and used.rounds >= self.rounds_per_day:
            raise BudgetExhausted(
                f"{used.rounds} rounds were answered in the last 24 hours; "
                f"the policy's rounds_per_day allows {self.rounds_per_day}"
            )
        if self.bytes_per_day is not None and used.bytes >= self.bytes_per_day:
            raise BudgetExhausted(
                f"{used.bytes} bytes were sent and received in the last 24 hours; "
                f"the policy's bytes_per_day allows {self.bytes_per_day}"
            )

    def check_conditions(self, conditions: Conditions) -> None:
        """Return when power, network, use and hour suit the owner; raises PrivacyError."""
        self._require("on_charger", self.on_charger, conditions.charging, "on external power")
        self._require("unmetered", self.unmetered, conditions.unmetered, "on an unmetered network")
        self._require("idle", self.idle, conditions.idle, "idle")
        level, floor = conditions.battery, self.battery_floor
        full = None if level is None or floor is None else level >= floor
        words = f"above {floor} % of its battery"
        self._require("battery_floor", floor is not None, full, words)
        minute = conditions.minute
        quiet = None if minute is None else any(_is_within(minute, h) for h in self.quiet_hours)
        loud = None if quiet is None else not quiet
        self._require("quiet_hours", bool(self.quiet_hours), loud, "outside of them")

    def _require(self, clause: str, wanted: bool, found: bool | None, words: str) -> None:
        if not wanted or found or (found is None and self.unknown_allows):
            return
        state = "cannot tell whether it is" if found is None else "is not"
        raise PrivacyError(f"the policy sets {clause} and the device {state} {words}")
