"""Where a run of `selftuning/1` stands; all of it public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamshare.algorithms.bounds import Bound
from dreamshare.algorithms.fedavg import FedAvgState
from dreamshare.algorithms.selftuning.dials import Dial
from dreamshare.learning.base import Floats

Arrays = tuple[Floats, ...]
"""One for each of the model's."""


@dataclass(frozen=True, slots=True)
class SelfTuningState:
    """Where a run stands.

    Attributes:
        averaging: stage, round, public model and the bounds of its differences.
        dials: the numbers in use: "step", "power", "doubt".
        size: mean number of examples of a device.
        centre: mean loss of the devices' training in the last round, nats.
        loss: held-out loss at `base`, nats; None before the first round.
        base: the model before its last step.
        along: by dial, d model / d dial at that step, for the step without its own length.
        spread: bounds of the fields of each weight's dial.
        slopes: by dial, the last d held-out loss / d dial.
        back: steps that were taken back.
    """

    averaging: FedAvgState
    dials: Mapping[str, Dial]
    size: float = 1.0
    centre: float = 0.0
    loss: float | None = None
    base: Arrays = ()
    along: Mapping[str, Arrays] = field(default_factory=dict)
    spread: Mapping[str, tuple[Bound, ...]] = field(default_factory=dict)
    slopes: Mapping[str, float] = field(default_factory=dict)
    back: int = 0
