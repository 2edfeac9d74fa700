"""How the bounds of fields follow the public sums (docs/protocol.md 12.2).

Rules:
- a bound is computed from means of closed rounds alone, never from one device's values;
- an algorithm declares a scalar field `clipped`; a device puts into it how many of its coordinates
  the bounds cut, so that the *sum* shows a bound that is too small;
- a bound never passes the largest one that the algorithm's `steps` declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.updates import Array, Field, Update

CLIPPED = "clipped"
"""Name of the field that counts clipped coordinates."""

FACTOR = 8.0
"""A bound is this many times the RMS of the field's last mean."""

TOLERATED = 0.001
"""Share of clipped coordinates above which the next bound is at least doubled."""

LEAST_SHARE = 2.0**-20
"""A bound never falls below this share of the largest: a field of zeros keeps a resolution."""


def clipped_field(fields: Sequence[Field]) -> Field:
    """Return the counting field that goes with `fields`."""
    return Field(CLIPPED, (), bound=float(sum(f.size for f in fields)), bits=20)


def count_clipped(
    arrays: Mapping[str, Array], fields: Sequence[Field], weight: float = 1.0, cap: float = 1.0
) -> float:
    """Return how many coordinates of the declared `fields` lie beyond their bounds.

    What is clipped is the array times weight / cap, as the encoding does.
    """
    share = weight / cap
    return float(
        sum(
            int((np.abs(arrays[f.name]) * share > f.bound).sum())
            for f in fields
            if f.name != CLIPPED
        )
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound of one field, from round to round.

    Attributes:
        value: what the next Ask declares.
        largest: what `steps` declares.
    """

    value: float
    largest: float

    def __post_init__(self) -> None:
        if not 0 < self.value <= self.largest:
            raise ConfigError(f"a bound of {self.value} is not above 0 and at most {self.largest}")

    def follow(self, mean: Array, clipped_share: float = 0.0, scale: float = 1.0) -> Bound:
        """Return the bound after a round.

        Args:
            mean: the field's public mean.
            clipped_share: share of all coordinates that were clipped, 0 to 1.
            scale: factor between the mean and what one device sends (its weight / cap).
        """
        value = FACTOR * scale * float(np.sqrt(np.mean(np.square(mean, dtype=np.float64))))
        if clipped_share > TOLERATED:
            value = max(value, 2.0 * self.value)
        return replace(self, value=min(self.largest, max(value, self.largest * LEAST_SHARE)))


def answer(
    arrays: Mapping[str, Array], fields: Sequence[Field], weight: float, cap: float
) -> Update:
    """Return the update of `arrays`, with the clipped coordinates counted where declared."""
    named = dict(arrays)
    if any(f.name == CLIPPED for f in fields):
        named[CLIPPED] = np.array(count_clipped(named, fields, weight, cap))
    return Update(named, weight)


def carried(own: Update, late: Update, fields: Sequence[Field], cap: float) -> Update:
    """Return `own` with a late update added, each with its own weight; clipped by the encoding.

    The weight stays the device's own. A late update that does not fit the fields, or an own one
    that weighs nothing, leaves `own` as it is.
    """
    fits = all(
        f.name in late.arrays and late.arrays[f.name].shape == f.shape
        for f in fields
        if f.name != CLIPPED
    )
    if not fits or own.weight <= 0:
        return own
    share = late.weight / own.weight
    added: dict[str, Array] = {
        f.name: np.asarray(own.arrays[f.name], np.float64) + share * late.arrays[f.name]
        for f in fields
        if f.name != CLIPPED
    }
    return answer(added, fields, own.weight, cap)
