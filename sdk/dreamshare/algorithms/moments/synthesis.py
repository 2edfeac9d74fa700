"""The synthetic set of `moments/1`: from public sums to pictures, alike wherever it is drawn.

Shape legend: K classes, D values of an input, B components, P second moments, L rows and T columns
of the sketch, M pictures, N pictures that are wanted, C channels, H height, W width.

Rules:
- pure functions of config and public sums; the aggregator draws from the very numbers that devices
  are told, rounding included, so that its set and theirs differ by a grey level at most;
- classes are even, whoever has them: the set depends on the union of the devices' data alone;
- a class is left out where too few of its examples are in a sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.moments import forms
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import form_of
from dreamshare.algorithms.moments.pictures import Pictures
from dreamshare.algorithms.moments.state import Doubles, MomentsState
from dreamshare.algorithms.posteriors import told
from dreamshare.algorithms.shares import over_mass
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.moments import (
    Basis,
    Gaussians,
    Sketch,
    packed_basis,
    packed_size,
    products,
    sketched,
    symmetric,
    symmetric_blocks,
    test_matrix,
)
from dreamshare.payloads.pixels import packed
from dreamshare.updates import Array, PublicArray


@dataclass(frozen=True, slots=True)
class Firsts:
    """What follows from first moments and squares.

    Attributes:
        known_K: examples of each class in the sum; 0 for a class that is left out.
        mean_KD: means, of such a class, too.
        variance_D: of each value within classes.
        weight_K: share of each class in what was summed.
        part: what was summed, over what was announced.
    """

    known_K: Doubles
    mean_KD: Doubles
    variance_D: Doubles
    weight_K: Doubles
    part: float = 1.0


def wanted(config: MomentsConfig, totals_K: Doubles, holders_K: Doubles) -> NDArray[np.bool_]:
    """Return which classes are common enough to be summed, (K,)."""
    found: NDArray[np.bool_] = (totals_K >= config.least_examples) & (
        holders_K >= config.least_holders
    )
    return found


def firsts(config: MomentsConfig, state: MomentsState, total: Mapping[str, Array]) -> Firsts:
    """Return means and variances from the sums of a round."""
    share_K, first_KL = (np.asarray(total[name], np.float64) for name in ("share", "first"))
    held_K = np.rint(np.clip(share_K, 0.0, 1.0) * state.totals_K)
    known_K = np.where(held_K >= config.least_examples, held_K, 0.0)
    space = forms.plane_space(config, form_of(config))
    parts_NL = over_mass(first_KL, share_K[:, None], 1).reshape(-1, space.count)
    mean_KD = space.spread(parts_NL * space.scale_B).reshape(config.classes, -1)
    weight_K = held_K / max(held_K.sum(), 1.0)
    variance_D = np.zeros(config.space.values)
    part = max(held_K.sum(), 1.0) / max(float(state.totals_K.sum()), 1.0)
    if "squares" in total:
        square_D = np.asarray(total["squares"], np.float64) / part
        variance_D = np.maximum(square_D - weight_K @ np.square(mean_KD), 0.0)
    return Firsts(known_K, mean_KD, variance_D, weight_K, part)


def firsts_again(config: MomentsConfig, state: MomentsState, total: Mapping[str, Array]) -> Firsts:
    """Return what an earlier round found, as far as this one, too, has examples enough.

    Who answered both may differ by devices that dropped out.
    """
    share_K = np.clip(np.asarray(total["share"], np.float64), 0.0, 1.0)
    held_K = np.rint(share_K * state.totals_K)
    enough_K = (held_K >= config.least_examples) & (state.known_K > 0)
    known_K = np.where(enough_K, held_K, 0.0)
    mean_KD = state.mean_KD.astype(np.float64)
    weight_K = known_K / max(known_K.sum(), 1.0)
    return Firsts(known_K, mean_KD, state.variance_D, weight_K)


def told_means(found: Firsts) -> Floats:
    """Return means as devices are told: zeros for classes that are left out."""
    means_KD: Floats = (found.mean_KD * (found.known_K > 0)[:, None]).astype(np.float32)
    return means_KD


def found_basis(
    config: MomentsConfig, state: MomentsState, found: Firsts, total: Mapping[str, Array]
) -> tuple[NDArray[np.uint8], Floats]:
    """Return the shared basis as it travels, and its scales."""
    form = form_of(config)
    wide, planes = config.space.values // form.planes, form.planes
    space = forms.plane_space(config, form)
    test_LT = test_matrix(config.seed, form.rows, form.columns)
    scaled_LT = np.asarray(total["sketch"], np.float64) / found.part
    sketch = Sketch(
        np.repeat(found.weight_K / planes, planes),
        space.project(found.mean_KD.reshape(-1, wide)),
        scaled_LT * space.scale_B[:, None],
        test_LT,
    )
    vectors_LB, spread_B = sketched(sketch, form.components // planes)
    return packed_basis(space.spread(vectors_LB.T).T), spread_B.astype(np.float32)


def covariances(
    config: MomentsConfig, found: Firsts, basis: Basis, total: Mapping[str, Array], centred: bool
) -> tuple[Floats, Floats]:
    """Return covariances over the scales (K, P) and what is left outside the basis (D,).

    A class of few examples is drawn to the pooled covariance (`shrinkage`).
    """
    known_K, planes = found.known_K, form_of(config).planes
    square_KP = over_mass(
        np.asarray(total["second"], np.float64),
        np.asarray(total["share"], np.float64)[:, None],
        1,  # these are sums, not means
    )
    if not centred:
        parts_KB = basis.of(found.mean_KD)
        square_KP = square_KP - np.stack([products(each, planes) for each in parts_KB[:, None]])
    square_KP = square_KP * (known_K > 0)[:, None]
    pooled_P = found.weight_K @ square_KP
    own_K1 = known_K[:, None]
    shrunk_KP = (own_K1 * square_KP + config.shrinkage * pooled_P) / np.maximum(
        own_K1 + config.shrinkage, 1e-9
    )
    covariance_KP = (shrunk_KP * (known_K > 0)[:, None]).astype(np.float32)
    vectors_DB = basis.vectors_DB
    if vectors_DB is None:
        return covariance_KP, np.zeros(config.space.values, np.float32)
    scales_BB = np.outer(basis.scale_B, basis.scale_B)
    pooled_BB = symmetric_blocks(pooled_P, basis.count, planes) * scales_BB
    inside_D = np.einsum("db,db->d", vectors_DB @ pooled_BB, vectors_DB)
    residual_D = np.maximum(found.variance_D - inside_D, 0.0).astype(np.float32)
    return covariance_KP, residual_D


def told_sums(config: MomentsConfig, state: MomentsState) -> dict[str, PublicArray]:
    """Return what a device draws the set from; what pictures are matched to."""
    form = form_of(config)
    if form.kind == "maps":
        return {"totals": state.known_K, "features": state.features_KF}
    tensors: dict[str, PublicArray] = {
        "totals": state.known_K,
        "mean": state.mean_KD,
        "covariance": state.covariance_KP,
    }
    if form.kind != "pixels":
        tensors["residual"] = state.residual_D
    if form.kind == "clipped":
        tensors["apart"] = state.apart_KQ
    if form.kind == "basis":
        tensors |= {"basis": state.basis_DB, "scale": state.scale_B}
    return tensors


def told_set(config: MomentsConfig, tensors: Mapping[str, PublicArray]) -> Pictures:
    """Return the set that a device was told, or draws from the sums that it was told.

    Raises:
        ConfigError: it did not come, or does not fit the task.
    """
    if config.told == "sums":
        return drawn(config, tensors)
    if not {"images", "labels"} <= tensors.keys():
        raise ConfigError("the synthetic set did not come with the plan")
    images, labels_M = tensors["images"], tensors["labels"].astype(np.int64)
    fits = images.dtype == np.uint8 and images.shape == (len(labels_M), *config.shape)
    if not fits or ((labels_M < 0) | (labels_M >= config.classes)).any():
        raise ConfigError("the synthetic set does not fit the task: other shapes, or classes")
    return Pictures(images.astype(np.uint8), labels_M, config.space)


def drawn(config: MomentsConfig, tensors: Mapping[str, PublicArray]) -> Pictures:
    """Return the set that the told sums make, classes in turn.

    Raises:
        ConfigError: sums are missing, of other shapes, or not finite.
    """
    gaussians = gaussians_of(config, tensors)
    present = np.flatnonzero(told(tensors, "totals", (config.classes,)) > 0).tolist()
    images_MCHW = np.zeros((config.images * len(present), *config.shape), np.uint8)
    labels_M = np.tile(np.array(present, np.int64), config.images)
    for place, label in enumerate(present):
        u_ND = gaussians.draw(label, config.images, config.seed)
        x_NCHW = config.space.inputs(u_ND)
        images_MCHW[place :: len(present)] = packed(x_NCHW, *config.space.ends)
    return Pictures(images_MCHW, labels_M, config.space)


def gaussians_of(config: MomentsConfig, tensors: Mapping[str, PublicArray]) -> Gaussians:
    """Return the Gaussians of told sums; raises ConfigError as `drawn` does."""
    c, form = config, form_of(config)
    values = c.space.values
    found = form.kind == "basis"
    basis = forms.told_basis(c, form, tensors) if found else forms.public_basis(c, form)
    residual_D = np.zeros(values)
    if form.kind != "pixels":
        residual_D = told(tensors, "residual", (values,))
    mean_KD = told(tensors, "mean", (c.classes, values))
    matrices = 1 if form.kind == "clipped" else c.classes
    covariance_KP = told(tensors, "covariance", (matrices, form.seconds))
    covariance_KBB = symmetric_blocks(covariance_KP, form.components, form.planes)
    if form.kind == "clipped":
        lowest = forms.lowest_of(form)
        apart_KQ = told(tensors, "apart", (c.classes, packed_size(lowest)))
        covariance_KBB = np.repeat(covariance_KBB, c.classes, axis=0)
        covariance_KBB[:, :lowest, :lowest] += symmetric(apart_KQ, lowest)
    covariance_KBB = covariance_KBB * np.outer(basis.scale_B, basis.scale_B)
    return Gaussians(mean_KD, covariance_KBB, residual_D, basis, c.rectify)
