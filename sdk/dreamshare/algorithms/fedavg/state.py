"""Where a run of `fedavg/1` stands; all of it public."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dreamshare.algorithms.bounds import Bound
from dreamshare.algorithms.evaluate import EVALUATE
from dreamshare.learning.base import Floats


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    START = "start"
    TRAIN = "train"
    ADOPT = "adopt"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class FedAvgState:
    """Where a run stands.

    Attributes:
        stage: what comes next.
        round: rounds of training merged so far.
        parameters: the public model, in the order of `shapes`.
        share: mean weight of a device, 0 to 1 (masked mean of the shares of the cap).
        bounds: clip of each field of the next `train`.
        clipped: largest share of clipped coordinates in a round so far.
        accuracy: of the evaluation, 0 to 1.
        loss: of the evaluation, nats.
    """

    stage: Stage
    round: int
    parameters: tuple[Floats, ...]
    share: float
    bounds: tuple[Bound, ...]
    clipped: float = 0.0
    accuracy: float = 0.0
    loss: float = 0.0
