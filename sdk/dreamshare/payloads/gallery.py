"""Dreams to look at, with what each was made for.

Shape legend: N dreams, C channels, H height, W width.

Rules: everything in a gallery is public; dreams are shown as they travelled, not chosen, not
smoothed. `COLOURS` is how a single channel is shown, dark to light, wherever dreams are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError

COLOURS = ("#16122b", "#3a1d78", "#7b2fb5", "#d0568f", "#ffb27a", "#fff6d8")


@dataclass(frozen=True, slots=True)
class Gallery:
    """Dreams of a run.

    Attributes:
        dreams_NCHW: in the nets' normalised input space.
        labels_N: the class that each dream is made for, from 0.
        cycles_N: the cycle that each is dreamt in, from 1.
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

    def __len__(self) -> int:
        return len(self.dreams_NCHW)
