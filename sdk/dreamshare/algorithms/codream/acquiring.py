"""How a device of `codream/1` trains: on its own data, and on dreams that it remembers.

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- dreams and soft labels are public, so the replay memory is too; statistics of features, which a
  net without BatchNorm remembers beside them, are the device's own and never leave it;
- a phase is a function of the learner's snapshot, the tell, the data and the generator;
- personal acquisition tries each candidate weight from the same start with the same batches and
  keeps the best by the device's own loss: it costs as many times the training, and no byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Tell
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.tensors import dreams_of, floats_of
from dreamshare.learning.base import Batch, Data, Floats, GivesFeatureStatistics, Learner
from dreamshare.learning.measures import measure
from dreamshare.learning.objectives import FitObjective
from dreamshare.payloads.dreams import Replay
from dreamshare.updates import Update

DREAMS = "codream.dreams"
TARGETS = "codream.targets"
FEATURES = "codream.features."
OWN = "codream."
MOST_EXAMPLES = 512
"""Local examples whose feature statistics are taken, and on which a training loss is measured."""


def warm_up(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on local data for `warm_up_epochs`."""
    steps = config.warm_up_epochs * -(-len(data) // config.local_batch)
    learner.fit(
        local_steps(data, rng, config.local_batch, steps),
        fit_objective(config, data, config.warm_up_rate),
    )
    remember_features(config, learner, data)
    return Update()


def acquire(
    config: CodreamConfig, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Remember the new dreams and train `fit_steps` on local data and on remembered dreams."""
    x_BCHW, targets_BK = dreams_of(config, tell.tensors), floats_of(tell.tensors, "targets")
    past = _remembered(learner, tell.cycle, Replay(x_BCHW[:0], targets_BK[:0]))
    replay = past.add(x_BCHW, targets_BK, config.replay)
    others = {n: a for n, a in learner.memory().items() if not n.startswith(OWN)}
    learner.remember(others | {DREAMS: replay.x_BCHW, TARGETS: replay.targets_BK})

    objective = fit_objective(config, data, config.learning_rate)
    if config.acquisition == "shared":
        learner.fit(_steps(config, data, replay, rng), objective)
    else:
        _fit_best(config, learner, data, replay, objective, int(rng.integers(2**32)))
    remember_features(config, learner, data)
    return Update()


def acquire_alone(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> None:
    """Take the local half of the steps of `acquire`: what the baselines do."""
    learner.fit(
        local_steps(data, rng, config.local_batch, config.fit_steps),
        fit_objective(config, data, config.learning_rate),
    )


def remember_features(config: CodreamConfig, learner: Learner, data: Data) -> None:
    """Keep feature statistics of local data beside the dreams, where the net keeps none itself."""
    if found := _measured_features(config, learner, data):
        kept = {n: a for n, a in learner.memory().items() if not n.startswith(FEATURES)}
        learner.remember(kept | {f"{FEATURES}{name}": array for name, array in found.items()})


def features_of(config: CodreamConfig, learner: Learner, data: Data) -> Mapping[str, Floats] | None:
    """Return the remembered feature statistics; None where the net has none of its own data.

    A device that missed the warm-up has not remembered any: it takes them now.
    """
    found = {
        name.removeprefix(FEATURES): array.astype(np.float32, copy=False)
        for name, array in learner.memory().items()
        if name.startswith(FEATURES)
    }
    return found or _measured_features(config, learner, data) or None


def _measured_features(config: CodreamConfig, learner: Learner, data: Data) -> Mapping[str, Floats]:
    """Return feature statistics of local data; empty where no term or no net wants them."""
    if config.feature_weight == 0 or not isinstance(learner, GivesFeatureStatistics):
        return {}
    batch = next(data.batches(np.random.default_rng(0), MOST_EXAMPLES))
    return learner.feature_statistics(batch.x_NCHW)


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


def _steps(
    config: CodreamConfig, data: Data, replay: Replay, rng: np.random.Generator
) -> Iterator[tuple[Batch, ...]]:
    """Yield `fit_steps` pairs of a local batch and of replayed dreams."""
    for (local,) in local_steps(data, rng, config.local_batch, config.fit_steps):
        drawn = replay.draw(rng, config.distillation_batch)
        yield local, Batch(drawn.x_BCHW, targets_NK=drawn.targets_BK)


def _fit_best(
    config: CodreamConfig,
    learner: Learner,
    data: Data,
    replay: Replay,
    objective: FitObjective,
    seed: int,
) -> None:
    """Train with each candidate weight from the same start; end as the best one did."""
    start, best, least = learner.snapshot(), b"", np.inf
    for weight in config.candidates:
        learner.restore(start)
        personal = replace(objective, distillation_weight=weight)
        learner.fit(_steps(config, data, replay, np.random.default_rng(seed)), personal)
        loss = _own_loss(config, learner, data)
        if loss < least or not best:
            least, best = loss, learner.snapshot()
    learner.restore(best)


def _own_loss(config: CodreamConfig, learner: Learner, data: Data) -> float:
    """Return the mean cross-entropy on held-out examples, or on training ones where asked."""
    batch = data.held_out()
    if config.acquisition == "training" or len(batch.x_NCHW) == 0:
        batch = next(data.batches(np.random.default_rng(0), MOST_EXAMPLES))
    measured = measure(learner, batch)
    return measured.loss / max(1, measured.count)


def _remembered(learner: Learner, cycle: int, empty: Replay) -> Replay:
    """Return the replay so far; empty in cycle 0 and where it is left from another task."""
    memory = learner.memory()
    if cycle == 0 or DREAMS not in memory or TARGETS not in memory:
        return empty
    past = Replay(floats_of(memory, DREAMS), floats_of(memory, TARGETS))
    same = past.x_BCHW.shape[1:] == empty.x_BCHW.shape[1:]
    return past if same and past.targets_BK.shape[1:] == empty.targets_BK.shape[1:] else empty
