"""What a device answers to `codream/1`: counts, gradients of dreams, soft labels.

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- the label histogram leaves the device only inside the masked sum of `count`; shares
  n_k(y) / N(y) are computed here from the public totals N and travel only inside masked sums;
- how it trains is in `acquiring`;
- whatever is weighted carries its weights in the field `mass`, so that the aggregator divides by
  the survivors' own mass and a dropout biases nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.bounds import answer
from dreamshare.algorithms.codream.acquiring import features_of
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.tensors import doubles_of, dreams_of, floats_of, integers_of
from dreamshare.algorithms.shares import class_shares, example_share, limited_counts
from dreamshare.learning.base import Data, Floats, GivesPosteriors, Learner
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective
from dreamshare.updates import Array, Update


def count(config: CodreamConfig, data: Data) -> Update:
    """Return the examples of each class, each at most `max_examples`."""
    return Update({"counts": limited_counts(data, config.classes, config.max_examples)})


def dream(config: CodreamConfig, ask: Ask, learner: Learner, data: Data) -> Update:
    """Return share * gradient for each dream, and the shares; to a contest also cotangents.

    The student's logits are public and were taken at these dreams. With several local steps they
    stay what they were, and the cotangents are those at the start.
    """
    x_BCHW = dreams_of(config, ask.tensors)
    labels_B = integers_of(ask.tensors, "labels")
    share_K = shares(config, data, doubles_of(ask.tensors, "totals"))
    objective = DreamObjective(
        labels_B=labels_B if config.objective == "labels" else None,
        feature_weight=config.feature_weight,
        diversity=config.diversity,
        statistics=features_of(config, learner, data),
    )
    if ask.step == "contest":
        objective = replace(
            objective,
            adversarial=config.adversarial,
            adversarial_weight=config.adversarial_weight,
            student_BK=floats_of(ask.tensors, "student"),
        )
    found = learner.input_gradient(x_BCHW, objective)
    gradient_BCHW = found.gradient_NCHW
    if config.local_steps > 1 or config.server_optimizer == "avg":
        gradient_BCHW = _pseudo_gradient(config, x_BCHW, learner, objective, gradient_BCHW)
    share_B = share_K[labels_B].astype(np.float32)
    arrays: dict[str, Array] = {
        "gradient": gradient_BCHW * share_B[:, None, None, None],
        "mass": share_K,
    }
    if found.student_cotangent_BK is not None:
        arrays["cotangent"] = found.student_cotangent_BK * share_B[:, None]
    return answer(arrays, ask.fields, 1.0, ask.weight_cap)


def label(config: CodreamConfig, ask: Ask, learner: GivesPosteriors, data: Data) -> Update:
    """Return this device's part of the soft labels, and its weights."""
    logits_BK = learner.logits(dreams_of(config, ask.tensors))
    totals_K = doubles_of(ask.tensors, "totals")
    if config.label_average == "class":
        share_K = class_shares(data, totals_K, config.max_examples)
    elif config.weighting == "examples":
        share_K = np.full(config.classes, example_share(data, totals_K))
    else:
        share_K = np.ones(config.classes)
    if config.label_average == "mean_logits":
        opinion_BK = np.clip(logits_BK.astype(np.float64), -config.logit_bound, config.logit_bound)
    else:
        opinion_BK = softmax(logits_BK / config.temperature)
    return Update({"opinion": opinion_BK * share_K, "mass": share_K})


def shares(config: CodreamConfig, data: Data, totals_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight, 0 to 1, of this device's gradient on a dream of each class."""
    if config.weighting == "class":
        return class_shares(data, totals_K, config.max_examples)
    if config.weighting == "examples":
        return np.full(config.classes, example_share(data, totals_K))
    return np.ones(config.classes)


def _pseudo_gradient(
    config: CodreamConfig,
    x_BCHW: Floats,
    learner: Learner,
    objective: DreamObjective,
    first_BCHW: Floats,
) -> Floats:
    """Return (before - after) / rate of `local_steps` plain gradient steps, the first one given."""
    moved_BCHW, gradient_BCHW = x_BCHW, first_BCHW
    for step in range(config.local_steps):
        if step > 0:
            gradient_BCHW = learner.input_gradient(moved_BCHW, objective).gradient_NCHW
        moved_BCHW = np.clip(
            moved_BCHW - config.local_rate * gradient_BCHW, config.low, config.high
        )
    pseudo_BCHW: Floats = ((x_BCHW - moved_BCHW) / config.local_rate).astype(np.float32)
    return pseudo_BCHW
