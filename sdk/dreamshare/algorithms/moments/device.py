"""What a device computes for `moments/1`: counts, its part of the moments, lessons.

Shape legend: N own examples, K classes, D values of an example, C planes, L rows and T columns of
the sketch, B components, P second moments.

Rules:
- sums over its own examples, each visited once, without any net; nothing of a single one leaves;
- a class is left out (zeros, in every sum, counts included) of which the device holds fewer than
  its owner's `least_class_count`; and, in sums of moments, one below the announced minimum of
  examples or of devices, or one of which the announced total says less than the device holds;
- sums are divided by the announced totals, so that a device never answers more than a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dreamshare.algorithms import bounds
from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.moments import filling, forms, mapped, synthesis
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import Form, form_of
from dreamshare.algorithms.moments.state import Doubles
from dreamshare.algorithms.posteriors import local_steps, told
from dreamshare.learning.base import Data, Ints, Learner
from dreamshare.learning.guarding import guarded_counts
from dreamshare.learning.moments import Basis, products, test_matrix
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.passes import once
from dreamshare.learning.public import keep_pictures, pictures_of
from dreamshare.updates import PublicArray, Update

ROUNDING = 1.0
"""Examples by which an announced total may fall short: what masked sums round."""


def count(config: MomentsConfig, data: Data) -> Update:
    """Return how many examples of each class this device may sum, and whether it has any.

    Raises:
        ConfigError: an example is of a class that the task does not know.
    """
    counts_K = guarded_counts(data, config.classes, config.max_examples)
    return Update({"counts": counts_K, "holders": (counts_K > 0).astype(np.float64)})


def sketch(config: MomentsConfig, ask: Ask, data: Data) -> Update:
    """Return first moments by class, squares of values, and the sketch of the scatter."""
    form = form_of(config)
    wide = config.space.values // form.planes
    space = forms.plane_space(config, form)
    test_LT = test_matrix(config.seed, form.rows, form.columns)
    totals_K = _totals(config, ask.tensors, data)
    whole = max(1.0, float(told(ask.tensors, "totals", (config.classes,)).sum()))
    share_K, squares_D = np.zeros(config.classes), np.zeros(config.space.values)
    first_KCL = np.zeros((config.classes, form.planes, space.count))
    sketch_LT = np.zeros(test_LT.shape)
    for label, u_ND in _by_class(config, data, totals_K):
        parts_NCL = space.of(u_ND.reshape(-1, wide)).reshape(-1, form.planes, space.count)
        share_K[label] += len(u_ND) / totals_K[label]
        first_KCL[label] += parts_NCL.sum(axis=0) / totals_K[label]
        squares_D += np.square(u_ND).sum(axis=0) / whole
        parts_NL = parts_NCL.reshape(-1, space.count)  # channels share the basis
        sketch_LT += parts_NL.T @ ((parts_NL * space.scale_B) @ test_LT) / (whole * form.planes)
    first_KL = first_KCL.reshape(config.classes, -1)
    arrays = {"share": share_K, "first": first_KL, "squares": squares_D, "sketch": sketch_LT}
    return bounds.answer(arrays, forms.sketch_fields(config, form), 1.0, 1.0)


def describe(config: MomentsConfig, ask: Ask, data: Data) -> Update:
    """Return second moments by class; with them the first ones, where no sketch was asked for."""
    form = form_of(config)
    totals_K = _totals(config, ask.tensors, data)
    if form.kind == "maps":
        return mapped.answer(config, totals_K, _by_class(config, data, totals_K))
    whole = max(1.0, float(told(ask.tensors, "totals", (config.classes,)).sum()))
    basis, centre_KD = _basis_and_centre(config, form, ask)
    share_K, squares_D = np.zeros(config.classes), np.zeros(config.space.values)
    first_KD = np.zeros((config.classes, config.space.values))
    second_KP = np.zeros((config.classes, form.seconds))
    for label, u_ND in _by_class(config, data, totals_K):
        parts_NB = basis.of(u_ND - centre_KD[label])
        share_K[label] += len(u_ND) / totals_K[label]
        first_KD[label] += u_ND.sum(axis=0) / totals_K[label]
        squares_D += np.square(u_ND).sum(axis=0) / whole
        second_KP[label] += products(parts_NB, form.planes) / totals_K[label]
    arrays = {"share": share_K, "first": first_KD, "squares": squares_D, "second": second_KP}
    fields = forms.describe_fields(config, form)
    asked = {field.name for field in fields}
    return bounds.answer({n: a for n, a in arrays.items() if n in asked}, fields, 1.0, 1.0)


def warm_up(
    config: MomentsConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on the device's own examples alone."""
    c = config
    steps = c.warm_up_epochs * -(-len(data) // c.local_batch)
    objective = FitObjective(
        optimizer=c.optimizer, learning_rate=c.warm_up_rate, weight_decay=c.weight_decay
    )
    if c.balanced:
        objective = objective.balanced(data.class_counts(c.classes))
    learner.fit(local_steps(data, rng, c.local_batch, steps), objective)
    return Update()


def learn(
    config: MomentsConfig, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator
) -> Update:
    """Train on the device's own examples and the synthetic set."""
    totals_K = told(tell.tensors, "totals", (config.classes,))
    pictures = synthesis.told_set(config, tell.tensors)
    steps = filling.steps_of(config, data, pictures, totals_K, rng)
    learner.fit(steps, filling.objective_of(config, data))
    if config.keep:
        ends = config.space.ends
        keep_pictures(learner, pictures_of(pictures.bytes_MCHW, pictures.labels_M, *ends))
    return Update()


def _totals(config: MomentsConfig, tensors: Mapping[str, PublicArray], data: Data) -> Doubles:
    """Return the announced totals of the classes that this device sums; 0 for the others."""
    totals_K, holders_K = (told(tensors, name, (config.classes,)) for name in ("totals", "holders"))
    own_K = guarded_counts(data, config.classes, config.max_examples)
    wanted_K = synthesis.wanted(config, totals_K, holders_K)
    return np.where(wanted_K & (own_K > 0) & (own_K <= totals_K + ROUNDING), totals_K, 0.0)


def _by_class(
    config: MomentsConfig, data: Data, totals_K: Doubles
) -> Iterator[tuple[int, Doubles]]:
    """Yield examples of one class, in the unit space, of the classes that are summed."""
    for x_NCHW, y_N in once(data, config.max_examples):
        labels: Ints = np.unique(y_N)
        for label in labels.tolist():
            if totals_K[label] > 0:
                yield label, config.space.units(x_NCHW[y_N == label])


def _basis_and_centre(config: MomentsConfig, form: Form, ask: Ask) -> tuple[Basis, Doubles]:
    """Return the basis of second moments and what is subtracted from the examples of each class."""
    values = config.space.values
    if form.kind != "basis":
        return forms.public_basis(config, form), np.zeros((config.classes, values))
    centre_KD = told(ask.tensors, "mean", (config.classes, values))
    return forms.told_basis(config, form, ask.tensors), centre_KD
