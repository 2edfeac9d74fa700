"""What a device answers to `fediod/1`: counts, weighted logits, image gradients.

Shape legend: B images (of logits: rows of images or of pixels), N examples, C channels, H height,
W width, K classes.

Rules:
- the label histogram leaves the device only inside the masked sum of `count`; class shares are
  computed here from the public totals, and logits are multiplied with them before they are summed;
- the model is frozen: nothing but `warm_up` trains it, and a gradient leaves it bit-identical;
- cotangents of all terms are added up at the logits, so a step costs one pass back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.bounds import answer
from dreamshare.algorithms.evaluate import evaluation
from dreamshare.algorithms.fediod import forming, judging, terms
from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.algorithms.posteriors import local_steps, sent
from dreamshare.algorithms.shares import class_shares, example_share, limited_counts
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Floats, Learner
from dreamshare.learning.measures import log_softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.payloads.pixels import unpacked
from dreamshare.updates import Array, PublicArray, Update


def count(config: FedIODConfig, data: Data) -> Update:
    """Return the examples (or pixels) of each class, each at most `config.most`."""
    return Update({"counts": limited_counts(data, config.classes, config.most)})


def warm_up(config: FedIODConfig, learner: Learner, data: Data, rng: np.random.Generator) -> Update:
    """Train the model that is to teach, on local data; a run starts without a discriminator."""
    judging.forget(learner)
    steps = config.warm_up_epochs * -(-len(data) // config.local_batch)
    objective = FitObjective(
        optimizer=config.optimizer,
        learning_rate=config.warm_up_rate,
        weight_decay=config.weight_decay,
    )
    if config.balanced:
        objective = objective.balanced(data.class_counts(config.classes))
    learner.fit(local_steps(data, rng, config.local_batch, steps), objective)
    return Update()


def judge(
    config: FedIODConfig, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train the discriminator on real images and on the told ones."""
    judging.judge(config, _images(config, tell.tensors), learner, data, rng)
    return Update()


def opinion(config: FedIODConfig, ask: Ask, learner: Learner, data: Data) -> Update:
    """Return the logits times class shares, with whatever else the step sums of predictions."""
    x_BCHW, totals_K = _images(config, ask.tensors), _doubles(ask.tensors, "totals")
    share_K = class_shares(data, totals_K, config.most)
    logits_BK = _logits(config, learner, x_BCHW)
    bound = config.logit_bound
    arrays: dict[str, Array] = {
        "logits": np.clip(logits_BK, -bound, bound) * share_K,
        "mass": share_K,
    }
    asked = {field.name for field in ask.fields}
    if "total" in asked:
        arrays["total"] = np.array(example_share(data, totals_K))
    log_p_BK = log_softmax(logits_BK)
    if "posteriors" in asked:
        arrays["posteriors"] = sent(np.exp(log_p_BK))
    if "logs" in asked:
        arrays["logs"] = terms.cut_logs(log_p_BK) + forming.LOGS
    return Update(arrays)


def pull(config: FedIODConfig, ask: Ask, learner: Learner, data: Data) -> Update:
    """Return this device's part of the gradient with respect to images."""
    x_BCHW, totals_K = _images(config, ask.tensors), _doubles(ask.tensors, "totals")
    logits_BK = _logits(config, learner, x_BCHW)
    share = example_share(data, totals_K)
    share_K = class_shares(data, totals_K, config.most)
    cotangent_BK = np.where(
        np.abs(logits_BK) <= config.logit_bound,
        share_K * _doubles(ask.tensors, "pull"),
        0.0,
    ) + share / config.places * _own(config, logits_BK)
    if config.asks_mean:
        log_p_BK = log_softmax(logits_BK)
        logs_BK = _doubles(ask.tensors, "logs") if config.asks_logs else None
        mean_BK = _doubles(ask.tensors, "mean")
        differing_BK = terms.divergence(
            config.divergence, np.exp(log_p_BK), log_p_BK, mean_BK, logs_BK
        )
        weight = config.signed_weight / config.places * _doubles(ask.tensors, "share")[0]
        cotangent_BK = cotangent_BK + weight * differing_BK
    objective = DreamObjective(
        weights_B=np.zeros(len(logits_BK), np.float32),
        feature_weight=0.0,
        cotangent_BK=cotangent_BK.astype(np.float32),
    )
    gradient_BCHW = learner.input_gradient(x_BCHW, objective).gradient_NCHW
    if config.real_weight > 0:
        seen_BCHW = judging.realism(config, x_BCHW, learner)
        gradient_BCHW = gradient_BCHW + np.float32(share * config.real_weight) * seen_BCHW
    arrays: dict[str, Array] = {"gradient": gradient_BCHW, "total": np.array(share)}
    return answer(arrays, ask.fields, 1.0, ask.weight_cap)


def evaluate(config: FedIODConfig, ask: Ask, data: Data) -> Update:
    """Return sums of the told student's answers on this device's held-out examples."""
    student = PublicStudent(config, forming.student_values(ask.tensors))
    return evaluation(student, data, config.most, overlaps=config.pixels)


class PublicStudent:
    """The aggregator's student, from told parameters, as whatever can classify."""

    def __init__(self, config: FedIODConfig, values: Mapping[str, Floats]) -> None:
        self.classes = config.classes
        self._net = forming.student_of(config)
        self._values = values

    def logits(self, x_NCHW: Floats) -> Floats:
        """Return its logits, a row an image or a pixel."""
        return self._net.forward(self._values, x_NCHW)[0]


def _logits(config: FedIODConfig, learner: Learner, x_BCHW: Floats) -> NDArray[np.float64]:
    """Return the logits at the told images; ConfigError where the model labels other things."""
    logits_BK = learner.logits(x_BCHW)
    wanted = (len(x_BCHW) * config.places, config.classes)
    if logits_BK.shape != wanted:
        kind = "pixels, (N, K, H, W)" if config.pixels else "images, (N, K)"
        raise ConfigError(
            f"fediod/1 needs logits of {kind} here: {wanted[0]} rows of {wanted[1]} for "
            f"{len(x_BCHW)} images; the model gives {logits_BK.shape}"
        )
    return logits_BK.astype(np.float64)


def _own(config: FedIODConfig, logits_BK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gradient, at the logits, of the terms that need this device alone."""
    log_p_BK = log_softmax(logits_BK)
    p_BK = np.exp(log_p_BK)
    sure_BK = config.confidence_weight * terms.confidence(p_BK, log_p_BK)
    return sure_BK + config.balance_weight * terms.balance(p_BK)


def _images(config: FedIODConfig, tensors: Mapping[str, PublicArray]) -> Floats:
    return unpacked(_tensor(tensors, "images"), config.low, config.high)


def _doubles(tensors: Mapping[str, PublicArray], name: str) -> NDArray[np.float64]:
    return _tensor(tensors, name).astype(np.float64, copy=False)


def _tensor(tensors: Mapping[str, PublicArray], name: str) -> PublicArray:
    if name not in tensors:
        raise ConfigError(f"fediod/1 needs the public tensor {name!r}, which did not come")
    return tensors[name]
