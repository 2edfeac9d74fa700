"""What `train` of `selftuning/1` asks for, and what comes with the question.

Rules:
- the model's arrays are fields of FedAvg's, with bounds that follow the public sums; a number of
  the weights has as many again; everything else is one scalar;
- a direction travels with length 1: a slope's bound then needs to know the gradient's size alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.bounds import clipped_field
from dreamshare.algorithms.evaluate import WORST_LOSS
from dreamshare.algorithms.fedavg import FedAvg
from dreamshare.algorithms.selftuning.config import WEIGHTS, SelfTuningConfig
from dreamshare.algorithms.selftuning.device import LOSS, NUMBERS, SLOPE
from dreamshare.algorithms.selftuning.state import SelfTuningState
from dreamshare.algorithms.selftuning.vectors import length
from dreamshare.updates import Field, PublicArray

SCALAR_BITS = 20


def train_fields(
    config: SelfTuningConfig,
    averaging: FedAvg,
    bounds: Sequence[float],
    spread: Mapping[str, Sequence[float]],
) -> tuple[Field, ...]:
    """Return the fields of `train`; bounds are those of the model's arrays, and by number."""
    most = config.most_weight
    fields = [*averaging.fields(bounds)[:-1], Field("weight", (), most, SCALAR_BITS)]
    fields.append(Field("trained", (), WORST_LOSS, SCALAR_BITS))
    for number, each in spread.items():
        reach = most * max(math.log(most), 2 * WORST_LOSS)
        fields.append(Field(number, (), reach, SCALAR_BITS))
        fields += [replace(f, name=f"{number}_{f.name}") for f in averaging.fields(each)[:-1]]
    if config.slopes == "scalars":
        fields.append(Field("judges", (), most, SCALAR_BITS))
        fields.append(Field("loss", (), LOSS, SCALAR_BITS))
        fields += [Field(f"slope_{number}", (), SLOPE, SCALAR_BITS) for number in config.learnt]
    return (*fields, clipped_field(fields))


def told(
    config: SelfTuningConfig, averaging: FedAvg, state: SelfTuningState
) -> dict[str, PublicArray]:
    """Return what comes with `train` beside the model: what weights depend on, and directions."""
    power, doubt = (state.dials[name].value for name in WEIGHTS)
    tensors: dict[str, PublicArray] = {
        NUMBERS: np.array([state.size, state.centre, power, doubt], np.float64)
    }
    if config.slopes == "scalars":
        for number, arrays in state.along.items():
            distance = length(arrays)
            names = (f"{number}_{name}" for name in averaging.names)
            if distance > 0:
                scale = np.float32(distance)
                tensors |= {n: a / scale for n, a in zip(names, arrays, strict=True)}
    return tensors
