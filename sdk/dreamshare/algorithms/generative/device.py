"""What a device computes for `generative/1`: counts, embedding sums, lessons.

Shape legend: N own examples, M pictures, C channels, H height, W width, F frequencies, K classes,
A words.

Rules:
- sums over its own examples, each visited once; nothing of a single one leaves the device
  (captions that its owner discloses are another module's: `disclosing`);
- a class of which the device holds fewer than its owner's `least_class_count` is zeros in every
  sum, counts and words included, whatever the aggregator announces;
- classes that are too rare in the public totals are left out of everything that follows;
- no weights of a generator are opened here, whatever the config names.
"""

from __future__ import annotations

import numpy as np

from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import words_of
from dreamshare.algorithms.generative.synthesis import labels_of, made_of_sums
from dreamshare.algorithms.posteriors import local_steps, steps_beside, told
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Floats, Ints, Learner
from dreamshare.learning.generators.captions import captioner_of
from dreamshare.learning.generators.cosine import Cosine
from dreamshare.learning.guarding import guarded_counts
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.passes import once
from dreamshare.payloads.pixels import unpacked
from dreamshare.updates import Update


def count(config: GenerativeConfig, data: Data) -> Update:
    """Return how many examples of each class there are, and how often each word goes with it.

    Raises:
        ConfigError: an example is of a class that the task does not know.
    """
    c = config
    counts_K = guarded_counts(data, c.classes, c.max_examples)
    answer = {"counts": counts_K, "holders": (counts_K > 0).astype(np.float64)}
    if words := words_of(c):
        captioner = captioner_of(c.captions, c.low, c.high)
        words_KA = np.zeros((c.classes, words))
        for x_NCHW, y_N in once(data, c.max_examples):
            keep_N = counts_K[y_N] > 0
            places_NG = captioner.words(np.clip(x_NCHW[keep_N], c.low, c.high))
            np.add.at(words_KA, (y_N[keep_N][:, None], places_NG), 1.0)
        answer["words"] = words_KA
    return Update(answer)


def describe(config: GenerativeConfig, ask: Ask, data: Data) -> Update:
    """Return sums of embeddings and of their squares, for the classes that are not too rare."""
    c = config
    wanted_K = told(ask.tensors, "wanted", (c.classes,)) > 0
    wanted_K &= guarded_counts(data, c.classes, c.described) > 0
    cosine = Cosine(c.shape, c.frequencies)
    counts_K = np.zeros(c.classes)
    sums, squares = np.zeros((2, c.classes, *cosine.size))
    for x_NCHW, y_N in once(data, c.described):
        keep_N = wanted_K[y_N]
        e_NCFF = cosine.embed(np.clip(x_NCHW[keep_N], c.low, c.high))
        np.add.at(counts_K, y_N[keep_N], 1.0)
        np.add.at(sums, y_N[keep_N], e_NCFF)
        np.add.at(squares, y_N[keep_N], e_NCFF**2)
    return Update({"described": counts_K, "sums": sums, "squares": squares})


def warm_up(
    config: GenerativeConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on the device's own examples alone."""
    c = config
    steps = c.warm_up_epochs * -(-len(data) // c.local_batch)
    learner.fit(local_steps(data, rng, c.local_batch, steps), _objective(c, data, c.warm_up_rate))
    return Update()


def learn(
    config: GenerativeConfig, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on the device's own examples and the synthetic set together."""
    c = config
    x_MCHW, labels_M = _set(c, tell)
    if len(labels_M) < 2:
        return Update()
    targets_MK = np.eye(c.classes, dtype=np.float32)[labels_M]
    steps = steps_beside(
        data, rng, c.local_batch, c.fit_steps, x_MCHW, targets_MK, c.synthetic_batch
    )
    learner.fit(steps, _objective(c, data, c.learning_rate))
    return Update()


def _set(config: GenerativeConfig, tell: Tell) -> tuple[Floats, Ints]:
    c = config
    if c.told == "sums":
        size = (c.classes, c.shape[0], c.frequencies, c.frequencies)
        counts_K = told(tell.tensors, "described", (c.classes,))
        wanted_K = told(tell.tensors, "wanted", (c.classes,)) > 0
        sums, squares = (told(tell.tensors, name, size) for name in ("sums", "squares"))
        labels_M = labels_of(c, wanted_K)
        return made_of_sums(c, labels_M, counts_K, sums, squares), labels_M
    if not {"images", "labels"} <= tell.tensors.keys():
        raise ConfigError("the synthetic set did not come with the plan")
    x_MCHW = unpacked(tell.tensors["images"], c.low, c.high)
    labels_M = tell.tensors["labels"].astype(np.int64)
    fits = x_MCHW.shape == (len(labels_M), *c.shape) and np.isfinite(x_MCHW).all()
    if not fits or ((labels_M < 0) | (labels_M >= c.classes)).any():
        raise ConfigError("the synthetic set does not fit the task: other shapes, or classes")
    return x_MCHW, labels_M


def _objective(config: GenerativeConfig, data: Data, rate: float) -> FitObjective:
    c = config
    objective = FitObjective(
        optimizer=c.optimizer,
        learning_rate=rate,
        weight_decay=c.weight_decay,
        distillation_weight=c.synthetic_weight,
        distillation_norm=c.distillation_norm,
    )
    return objective.balanced(data.class_counts(c.classes)) if c.balanced else objective
