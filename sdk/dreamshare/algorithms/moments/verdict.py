"""Whether the set helped: devices try without it first, and the run's last word says what to use.

Rules:
- the same devices, steps, batches and rate with balanced softmax instead of the set, that is, with
  the label histogram alone; each device then has the weights again that it had before;
- both accuracies are masked sums over the devices' held-out examples: nobody sees one device's;
- held-out examples of a device's own skew say little about classes that it lacks: what is measured
  is what its owner holds out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dreamshare.algorithms.evaluate import evaluation
from dreamshare.algorithms.moments import filling
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.state import MomentsState
from dreamshare.algorithms.posteriors import local_steps
from dreamshare.learning.base import Data, Learner
from dreamshare.updates import Update

ADVICE = (
    "done; moments did not help: {:.1%} right on held-out examples with the shared set, {:.1%} "
    "with own examples alone. Use fedavg/1 where all devices can run one architecture, consensus/1 "
    "where they hold a common set without labels, else codream/1"
)


def alone(config: MomentsConfig, learner: Learner, data: Data, rng: np.random.Generator) -> Update:
    """Return how well a device does that trains on its own examples alone, and forget that."""
    c = config
    before = learner.snapshot()
    objective = filling.objective_of(replace(c, mix="beside", balanced=True), data)
    learner.fit(local_steps(data, rng, c.batch, c.fit_steps), objective)
    answer = evaluation(learner, data, c.max_examples)
    learner.restore(before)
    return answer


def metrics(state: MomentsState) -> dict[str, float]:
    """Return what the comparison found."""
    return {"alone": state.alone, "gain": state.accuracy - state.alone}


def advice(config: MomentsConfig, state: MomentsState) -> str:
    """Return what to use instead; "" where the set helped, or nobody knows."""
    nothing_held_out = state.accuracy == state.alone == 0.0
    useful = state.accuracy - state.alone >= config.least_gain
    if not config.compare or useful or nothing_held_out:
        return ""
    return ADVICE.format(state.accuracy, state.alone)
