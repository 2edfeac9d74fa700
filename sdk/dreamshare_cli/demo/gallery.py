"""The dreams of a run, with what each was made for.

Shape legend: N dreams, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Gallery:
    """Dreams of a run.

    Attributes:
        dreams_NCHW: in the nets' normalised input space; the first channel is shown.
        labels_N: the digit that each dream was made for, 0 to 9.
        cycles_N: the cycle that each was dreamt in, from 1.
    """

    dreams_NCHW: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    cycles_N: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.dreams_NCHW)
        if self.dreams_NCHW.ndim != 4 or not len(self.labels_N) == len(self.cycles_N) == count:
            raise ConfigError(
                f"a gallery needs dreams of shape NCHW with a label and a cycle each; got "
                f"{self.dreams_NCHW.shape}, {self.labels_N.shape}, {self.cycles_N.shape}"
            )
