"""What a device computes for `codream/1`: four answers and two local phases.

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- the label histogram leaves the device only inside the masked sum of `count`; shares
  n_k(y) / N(y) are computed here from the public totals N and travel only inside masked sums;
- whatever is weighted carries its weights in the field `mass`, so that the aggregator divides by
  the survivors' own mass and a dropout biases nothing;
- dreams and soft labels are public, so the replay memory is too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.bounds import answer
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, GivesPosteriors, Learner
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.payloads.dreams import Replay
from dreamshare.payloads.pixels import unpacked
from dreamshare.updates import Array, PublicArray, Update

DREAMS = "codream.dreams"
TARGETS = "codream.targets"


def count(config: CodreamConfig, data: Data) -> Update:
    """Return the examples of each class, each at most `max_examples`."""
    counts_K = np.minimum(data.class_counts(config.classes), config.max_examples)
    return Update({"counts": counts_K.astype(np.float64)})


def dream(config: CodreamConfig, ask: Ask, learner: Learner, data: Data) -> Update:
    """Return share * gradient for each dream, and the shares; to a contest also cotangents.

    The student's logits are public and were taken at these dreams. With several local steps they
    stay what they were, and the cotangents are those at the start.
    """
    x_BCHW = _dreams(config, ask.tensors)
    labels_B = _integers(ask.tensors, "labels")
    share_K = shares(config, data, _doubles(ask.tensors, "totals"))
    objective = DreamObjective(
        labels_B=labels_B if config.objective == "labels" else None,
        feature_weight=config.feature_weight,
        diversity=config.diversity,
    )
    if ask.step == "contest":
        objective = replace(
            objective,
            adversarial=config.adversarial,
            adversarial_weight=config.adversarial_weight,
            student_BK=_floats(ask.tensors, "student"),
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
    logits_BK = learner.logits(_dreams(config, ask.tensors))
    totals_K = _doubles(ask.tensors, "totals")
    if config.label_average == "class":
        share_K = class_shares(config, data, totals_K)
    elif config.weighting == "examples":
        share_K = example_shares(config, data, totals_K)
    else:
        share_K = np.ones(config.classes)
    if config.label_average == "mean_logits":
        opinion_BK = np.clip(logits_BK.astype(np.float64), -config.logit_bound, config.logit_bound)
    else:
        opinion_BK = softmax(logits_BK / config.temperature)
    return Update({"opinion": opinion_BK * share_K, "mass": share_K})


def warm_up(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on local data for `warm_up_epochs`."""
    steps = config.warm_up_epochs * -(-len(data) // config.local_batch)
    learner.fit(
        local_steps(data, rng, config.local_batch, steps),
        fit_objective(config, data, config.warm_up_rate),
    )
    return Update()


def acquire(
    config: CodreamConfig, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Remember the new dreams and train `fit_steps` on local data and on remembered dreams."""
    x_BCHW, targets_BK = _dreams(config, tell.tensors), _floats(tell.tensors, "targets")
    past = _remembered(learner, tell.cycle, Replay(x_BCHW[:0], targets_BK[:0]))
    replay = past.add(x_BCHW, targets_BK, config.replay)
    learner.remember({DREAMS: replay.x_BCHW, TARGETS: replay.targets_BK})

    def steps() -> Iterator[tuple[Batch, ...]]:
        for (local,) in local_steps(data, rng, config.local_batch, config.fit_steps):
            drawn = replay.draw(rng, config.distillation_batch)
            yield local, Batch(drawn.x_BCHW, targets_NK=drawn.targets_BK)

    learner.fit(steps(), fit_objective(config, data, config.learning_rate))
    return Update()


def acquire_alone(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> None:
    """Take the local half of the steps of `acquire`: what the baselines do."""
    learner.fit(
        local_steps(data, rng, config.local_batch, config.fit_steps),
        fit_objective(config, data, config.learning_rate),
    )


def shares(config: CodreamConfig, data: Data, totals_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight, 0 to 1, of this device's gradient on a dream of each class."""
    if config.weighting == "class":
        return class_shares(config, data, totals_K)
    if config.weighting == "examples":
        return example_shares(config, data, totals_K)
    return np.ones(config.classes)


def class_shares(
    config: CodreamConfig, data: Data, totals_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return n_k(y) / N(y), limited to 1; 0 for a class that nobody has."""
    counts_K = np.minimum(data.class_counts(config.classes), config.max_examples)
    return np.minimum(counts_K / np.maximum(totals_K, 1.0), 1.0)


def example_shares(
    config: CodreamConfig, data: Data, totals_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return n_k / N for every class, limited to 1."""
    share = min(1.0, len(data) / max(1.0, float(totals_K.sum())))
    return np.full(config.classes, share)


def fit_objective(config: CodreamConfig, data: Data, rate: float) -> FitObjective:
    """Return how this device trains; with `balanced`, the class prior is its own."""
    objective = FitObjective(
        optimizer=config.optimizer,
        learning_rate=rate,
        weight_decay=config.weight_decay,
        distillation_weight=config.distillation_weight,
        temperature=config.temperature,
        distillation_norm=config.distillation_norm,
    )
    return objective.balanced(data.class_counts(config.classes)) if config.balanced else objective


def local_steps(
    data: Data, rng: np.random.Generator, batch: int, steps: int
) -> Iterator[tuple[Batch]]:
    """Yield `steps` steps of one local batch each."""
    batches = data.batches(rng, batch)
    for _ in range(steps):
        yield (next(batches),)


def _remembered(learner: Learner, cycle: int, empty: Replay) -> Replay:
    """Return the replay so far; empty in cycle 0 and where it is left from another task."""
    memory = learner.memory()
    if cycle == 0 or DREAMS not in memory or TARGETS not in memory:
        return empty
    past = Replay(_floats(memory, DREAMS), _floats(memory, TARGETS))
    same = past.x_BCHW.shape[1:] == empty.x_BCHW.shape[1:]
    return past if same and past.targets_BK.shape[1:] == empty.targets_BK.shape[1:] else empty


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


def _dreams(config: CodreamConfig, tensors: Mapping[str, PublicArray]) -> Floats:
    return unpacked(_tensor(tensors, "dreams"), config.low, config.high)


def _tensor(tensors: Mapping[str, PublicArray], name: str) -> PublicArray:
    if name not in tensors:
        raise ConfigError(f"codream/1 needs the public tensor {name!r}, which did not come")
    return tensors[name]


def _floats(tensors: Mapping[str, PublicArray], name: str) -> Floats:
    return _tensor(tensors, name).astype(np.float32, copy=False)


def _doubles(tensors: Mapping[str, PublicArray], name: str) -> NDArray[np.float64]:
    return _tensor(tensors, name).astype(np.float64, copy=False)


def _integers(tensors: Mapping[str, PublicArray], name: str) -> NDArray[np.int64]:
    return _tensor(tensors, name).astype(np.int64, copy=False)
