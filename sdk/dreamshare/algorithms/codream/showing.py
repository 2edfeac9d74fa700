"""The dreams of a CoDream run as a gallery, oldest first.

Shape legend: N dreams, C channels, H height, W width, K classes.

Rules: a dream is shown under the class that it was made for, whatever it became; cycles count
from 1; nothing of it needs more than what is public in a state or a result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.payloads.dreams import Floats, starting_labels
from dreamshare.payloads.gallery import Gallery


def gallery_of_dreams(
    dreams_NCHW: Floats, totals_K: NDArray[np.float64], per_cycle: int, cycles: int
) -> Gallery | None:
    """Return the gallery of dreams that end with a whole cycle; None where there are none.

    Args:
        dreams_NCHW: oldest first; the oldest cycle may have lost its first ones.
        totals_K: the cohort's examples of each class: dreams are made for the classes it has.
        per_cycle: dreams of one cycle.
        cycles: the last one's number.
    """
    present = np.flatnonzero(totals_K)
    if len(dreams_NCHW) == 0 or len(present) == 0:
        return None
    # Counted from the end, because the oldest may have been let go.
    age_N: NDArray[np.int64] = np.arange(len(dreams_NCHW) - 1, -1, -1, dtype=np.int64)
    made_for = present[starting_labels(per_cycle, len(present))]
    return Gallery(
        dreams_NCHW,
        made_for[per_cycle - 1 - age_N % per_cycle],
        cycles - age_N // per_cycle,
    )
