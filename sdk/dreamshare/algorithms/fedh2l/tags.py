"""How a device finds out whether its own answer was in a sum that it is told: by a mark in it.

Each answer has `MARKS` marks in a field of slots, at places that only this device can know; the
sum's slots are told. Where all of its places are marked, its answer was in the sum, but for a
chance of about (1 - exp(-n MARKS / slots))^MARKS: 4e-7 for 32 devices and 1,024 slots.

Rules:
- why not from the protocol: a device that computed and then died may or may not be among the
  survivors, and what it subtracts must be right in both cases;
- the places are a hash of the device's weights, histogram and round: nothing has to be remembered
  between answer and sum, and after a crash they are the same. Weights that changed in between (by a
  Tell of another task) give other places: then nothing is subtracted;
- a mark is +1, its absence -1: both lie on the encoding's grid, so counts are exact;
- a sum of marks tells nothing about who made which.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Data, Learner
from dreamshare.updates import Array, Field

TAGS = "tags"
MARKS = 16


def tag_field(slots: int) -> Field:
    """Return the field `tags`."""
    return Field(TAGS, (slots,), bound=1.0, bits=8)


def places(
    learner: Learner, data: Data, classes: int, round_: int, slots: int
) -> NDArray[np.int64]:
    """Return where this device marks its answer of a round, given its weights now."""
    found = hashlib.sha256(f"dreamshare tag {round_}\n".encode())
    for name, array in learner.parameters().items():
        found.update(f"{name} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array, "<f4").tobytes())
    found.update(data.class_counts(classes).astype("<i8").tobytes())
    drawn = np.random.default_rng(int.from_bytes(found.digest()))
    return drawn.choice(slots, size=MARKS, replace=False).astype(np.int64)


def marked(places_: NDArray[np.int64], slots: int) -> NDArray[np.float64]:
    """Return the field of an answer."""
    tags = np.full(slots, -1.0)
    tags[places_] = 1.0
    return tags


def slots_marked(mean: Array, survivors: int) -> NDArray[np.uint8]:
    """Return 1 where anybody of the sum left a mark, else 0."""
    counts = np.rint((mean.astype(np.float64) + 1.0) * survivors / 2.0)
    return (counts > 0).astype(np.uint8)
