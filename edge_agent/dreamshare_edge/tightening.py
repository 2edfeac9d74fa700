"""Two policies in one: what either refuses is refused.

Rules:
- each clause has its own way of being tighter; a test holds that a new
  clause has one;
- only clauses that the second policy names count: what it leaves out says nothing;
- a clause that leaves nothing (no suite, no algorithm) is an error: 'none' is nowhere taken for
  'all'.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from dreamshare.errors import ConfigError
from dreamshare_edge.policy import Policy

Names = tuple[str, ...]

Clause = Callable[[Policy, Policy], object]
"""Returns the tighter value of one clause."""


def tightened(floor: Policy, other: Policy, named: Collection[str]) -> Policy:
    """Return `floor`, tightened by the clauses of `other` that are `named`.

    Raises:
        ConfigError: together they allow nothing.
    """
    clauses = {name: TIGHTER[name](floor, other) for name in TIGHTER if name in named}
    return dataclasses.replace(floor, **clauses)  # type: ignore[arg-type]


def looser(floor: Policy, other: Policy, named: Collection[str]) -> tuple[str, ...]:
    """Return the clauses of `other` that the floor overrules, wholly or in part."""
    both = tightened(floor, other, named)
    return tuple(n for n in TIGHTER if n in named and getattr(both, n) != getattr(other, n))


def _number(name: str, choose: Callable[[float, float], float]) -> Clause:
    def clause(floor: Policy, other: Policy) -> object:
        return choose(getattr(floor, name), getattr(other, name))

    return clause


def _limit(name: str, choose: Callable[[float, float], float]) -> Clause:
    """A limit of which None is the absence."""

    def clause(floor: Policy, other: Policy) -> object:
        set_ones = [v for v in (getattr(floor, name), getattr(other, name)) if v is not None]
        return choose(set_ones[0], set_ones[-1]) if set_ones else None

    return clause


def _switch(name: str, both: Callable[[bool, bool], bool]) -> Clause:
    def clause(floor: Policy, other: Policy) -> object:
        return both(getattr(floor, name), getattr(other, name))

    return clause


def _shared(name: str, empty_is_all: bool = False) -> Clause:
    """Names that both allow."""

    def clause(floor: Policy, other: Policy) -> object:
        mine: Names = getattr(floor, name)
        theirs: Names = getattr(other, name)
        if empty_is_all and not (mine and theirs):
            return mine or theirs
        left = tuple(each for each in mine if each in theirs)
        if not left and mine:
            raise ConfigError(
                f"policy: the owner's {name} are {', '.join(mine)} and the fleet's "
                f"{', '.join(theirs) or 'none'}; together they allow none"
            )
        return left

    return clause


def _either(name: str) -> Clause:
    """Names that one of them refuses."""

    def clause(floor: Policy, other: Policy) -> object:
        return tuple(dict.fromkeys((*getattr(floor, name), *getattr(other, name))))

    return clause


def _resets(floor: Policy, other: Policy) -> object:
    return tuple(each for each in floor.version_resets if each in other.version_resets)


_CLAUSES: tuple[tuple[str, Clause], ...] = (
    *((name, _number(name, max)) for name in ("least_cohort", "gamma", "sigma", "min_noise")),
    *((name, _number(name, max)) for name in ("least_change", "min_bits", "captions_least")),
    ("least_class_count", _number("least_class_count", max)),
    *((name, _number(name, min)) for name in ("delta", "draws", "max_clip", "max_vector_words")),
    *((name, _number(name, min)) for name in ("tasks_at_once", "wait_for_turn_s", "captions")),
    *((n, _limit(n, min)) for n in ("rounds_per_day", "bytes_per_day", "epsilon_per_month")),
    ("battery_floor", _limit("battery_floor", max)),
    *((n, _switch(n, operator.or_)) for n in ("on_charger", "unmetered", "idle")),
    ("monotone_active", _switch("monotone_active", operator.or_)),
    *((n, _switch(n, operator.and_)) for n in ("unknown_allows", "resume_without_anchor")),
    *((name, _shared(name)) for name in ("profiles", "suites", "modes", "programs")),
    ("algorithms", _shared("algorithms", empty_is_all=True)),
    *((name, _either(name)) for name in ("refused_steps", "quiet_hours")),
    ("version_resets", _resets),
)

TIGHTER: Mapping[str, Clause] = MappingProxyType(dict(_CLAUSES))
"""For every clause of a policy, the tighter of two values."""
