"""Who is invited to an epoch: pure functions of who is here, what is wanted, and a draw.

Rules:
- a roster is chosen between epochs and never within one: whoever is in it takes part in all its
  rounds, so that a choice makes no two adjacent sums that differ by a chosen device
  (docs/protocol.md 4.11, 13.1); which devices a round is open to is not chosen at all;
- over-selection invites more than are wanted, because some will not finish: `spare` of the target
  on top of it, never above `most`;
- strata get their least first, then all places are filled without passing a stratum's most;
- more devices than places are drawn uniformly with the entropy that is handed in; when everybody
  has a place nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeVar

from dreamshare.ids import PartyId
from dreamshare.protocol.messages import Cohort, Stratum
from dreamshare.protocol.phases import Gathering
from dreamshare_crypto.entropy import Entropy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that is here and ready.

    Attributes:
        device: its id.
        attributes: what its owner made public.
    """

    device: PartyId
    attributes: Mapping[str, str] = dataclass_field(default_factory=dict)

    def belongs_to(self, stratum: Stratum) -> bool:
        """Say whether it is one of these."""
        return self.attributes.get(stratum.attribute) == stratum.value


def places_of(cohort: Cohort) -> int:
    """Return how many devices are invited to an epoch, at most."""
    if not cohort.target:
        return cohort.most
    return min(cohort.most, math.ceil(cohort.target * (1.0 + cohort.spare)))


def fault_of(cohort: Cohort) -> str:
    """Return what is wrong with how a cohort is chosen, and what to change; "" for nothing."""
    least, most = cohort.least, cohort.most
    if cohort.target and not least <= cohort.target <= most:
        return f"target {cohort.target} must be 0 or in {least}..{most} (least and most)"
    if not 0 <= cohort.spare <= 4:
        return f"spare {cohort.spare} must be a part of the target, 0 to 4"
    if cohort.spare and not cohort.target:
        return "spare is a part of the target: set one"
    if not 0 <= cohort.quorum <= 1:
        return f"quorum {cohort.quorum} must be a part of a round's devices, 0 to 1"
    named = [(s.attribute, s.value) for s in cohort.strata]
    for stratum in cohort.strata:
        words = f"stratum {stratum.attribute} = {stratum.value}"
        if named.count((stratum.attribute, stratum.value)) > 1:
            return f"{words} comes twice"
        if stratum.most and stratum.least > stratum.most:
            return f"{words}: least {stratum.least} is above its most {stratum.most}"
        if stratum.least > places_of(cohort):
            return f"{words}: least {stratum.least} is more than the roster takes"
    return ""


def select(
    candidates: Sequence[Candidate], cohort: Cohort, entropy: Entropy
) -> tuple[PartyId, ...]:
    """Return who is invited, in the order of `candidates`; nobody where the cohort is not met.

    Strata that overlap are served in the order in which they are declared.
    """
    places = places_of(cohort)
    if len(candidates) < cohort.least:
        return ()
    if len(candidates) <= places and not cohort.strata:
        return tuple(candidate.device for candidate in candidates)
    waiting = _shuffled(candidates, entropy)
    chosen: list[Candidate] = []
    for stratum in cohort.strata:
        for candidate in [c for c in waiting if c.belongs_to(stratum)]:
            if _count(chosen, stratum) >= stratum.least or len(chosen) >= places:
                break
            if _has_room(candidate, chosen, cohort.strata):
                chosen.append(candidate)
                waiting.remove(candidate)
        if _count(chosen, stratum) < stratum.least:
            return ()
    for candidate in waiting:
        if len(chosen) < places and _has_room(candidate, chosen, cohort.strata):
            chosen.append(candidate)
    if len(chosen) < cohort.least:
        return ()
    taken = {candidate.device for candidate in chosen}
    return tuple(c.device for c in candidates if c.device in taken)


def gather(
    phase: Gathering,
    candidates: Sequence[Candidate],
    cohort: Cohort,
    grace_s: float,
    now: float,
    entropy: Entropy,
) -> Gathering | tuple[PartyId, ...]:
    """Return who is invited now, or how the wait for more goes on.

    Once a cohort could be formed, the others have `grace_s` to come; nobody waits when all places
    are taken.
    """
    chosen = select(candidates, cohort, entropy)
    if not chosen:
        return phase if phase.until is None else Gathering()
    if len(candidates) < places_of(cohort):
        if phase.until is None:
            return Gathering(now + grace_s)
        if now < phase.until:
            return phase
    return chosen


def _count(chosen: Iterable[Candidate], stratum: Stratum) -> int:
    return sum(1 for each in chosen if each.belongs_to(stratum))


def _has_room(candidate: Candidate, chosen: Sequence[Candidate], strata: Iterable[Stratum]) -> bool:
    return all(
        _count(chosen, stratum) < stratum.most
        for stratum in strata
        if stratum.most and candidate.belongs_to(stratum)
    )


def _shuffled(items: Sequence[T], entropy: Entropy) -> list[T]:
    """Return the items in a uniformly random order (Fisher and Yates)."""
    shuffled = list(items)
    for last in range(len(shuffled) - 1, 0, -1):
        other = _below(last + 1, entropy)
        shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
    return shuffled


def _below(bound: int, entropy: Entropy) -> int:
    """Return a uniform whole number below `bound`; what would favour small ones is drawn again."""
    fair = 2**64 - 2**64 % bound
    while True:
        drawn = int.from_bytes(entropy.draw(8), "little")
        if drawn < fair:
            return drawn % bound
