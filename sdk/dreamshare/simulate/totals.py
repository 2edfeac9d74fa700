"""The sum over the groups of a population: one vector, however many groups there are.

Rules:
- groups are added in the order of their numbers, so that rounding does not depend on who is first:
  one that comes early waits;
- a mean that has been added is let go.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.simulate.population import GroupDone
from dreamshare.updates import Array


class Total:
    """Adds groups 0, 1, ... of one step.

    Attributes:
        weight_sum: of the groups that are added.
    """

    def __init__(self) -> None:
        self.weight_sum = 0.0
        self._added: dict[str, NDArray[np.float64]] = {}
        self._next = 0
        self._early: dict[int, GroupDone] = {}

    def take(self, done: GroupDone) -> GroupDone:
        """Add a group, now or when its turn comes; return it without its mean."""
        self._early[done.number] = done
        while (group := self._early.pop(self._next, None)) is not None:
            self._add(group)
            self._next += 1
        return replace(done, mean={})

    def mean(self) -> dict[str, Array]:
        """Return the mean of each field over the survivors of all groups; after the last one."""
        return {name: added / self.weight_sum for name, added in self._added.items()}

    def _add(self, group: GroupDone) -> None:
        if group.weight_sum <= 0:
            return
        self.weight_sum += group.weight_sum
        for name, mean in group.mean.items():
            share = group.weight_sum * np.asarray(mean, dtype=np.float64)
            if name in self._added:
                self._added[name] += share
            else:
                self._added[name] = share
