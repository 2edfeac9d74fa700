"""The one thing that a task's owner wants next, and what came of it so far.

Rules:
- a sum that was given up is asked again with another draw when any device had answered (7.1), or
  says that it has (S7): an aggregator that restarted does not know what it was told;
- a mean is the sum over the survivors divided by the sum of their weights, per field (12.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dreamshare.ids import PartyId
from dreamshare.protocol.events import Asked
from dreamshare.protocol.outcomes import Spent, SumDone
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import unflatten
from dreamshare_crypto.secagg.events import AbortReason, Summed


@dataclass(frozen=True, slots=True)
class OpenSum:
    """A sum that is wanted.

    Attributes:
        asked: what the owner ordered.
        draw: how many of its rounds were given up after an answer.
        given_up: how many of its rounds were given up.
        caught_up: members that lacked a Tell had their chance since the last attempt.
        answered_before: a device says that it answered this draw in an earlier round.
    """

    asked: Asked
    draw: int = 0
    given_up: int = 0
    caught_up: bool = False
    answered_before: bool = False

    def plan(self, last_tell: bytes) -> RoundPlan:
        """Return the plan of the next attempt."""
        return replace(self.asked.plan, draw=self.draw, last_tell=last_tell)

    def after_giving_up(self, answered: bool, wished: bool = False) -> OpenSum:
        """Return the order after one of its rounds was given up; `wished`: by its owner."""
        another = answered or self.answered_before
        return OpenSum(self.asked, self.draw + another, self.given_up + (not wished))

    def why_failed(self, reason: AbortReason) -> str:
        """Return what people are told when it is not asked again."""
        why = reason.name.lower().replace("_", " ")
        return (
            f"{self.given_up} rounds for step {self.asked.plan.step!r} were given up, the last one "
            f"because of {why}: give devices more time or take more of them"
        )

    def done(self, summed: Summed, roster: int, spent: Spent | None) -> SumDone | None:
        """Return the means, or None when all survivors together weigh nothing."""
        if summed.weight_sum <= 0:
            return None
        means = tuple(total / summed.weight_sum for total in summed.sums)
        return SumDone(
            mean=unflatten(means, self.asked.fields),
            weight_sum=summed.weight_sum * self.asked.weight_cap,
            survivors=tuple(PartyId(device) for device in summed.survivors),
            roster=roster,
            step=self.asked.plan.step,
            cycle=self.asked.plan.cycle,
            spent=spent,
        )


@dataclass(frozen=True, slots=True)
class OpenTell:
    """A Tell that is to be spread; its plan is chained and stored already."""

    plan: RoundPlan


Order = OpenSum | OpenTell
