"""The form "maps" of `moments/1`: class means of public random features, and pictures to match.

Shape legend: K classes, F features, M pictures.

Rules:
- the message has K (F + 1) numbers, whatever the size of an input;
- pictures are optimised by the aggregator, and devices get their bytes: an optimisation of some
  hundred steps does not end alike on machines that round differently;
- a class is left out as in every form (`device`, `synthesis`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms import bounds
from dreamshare.algorithms.moments import forms, synthesis
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.pictures import Pictures
from dreamshare.algorithms.moments.state import Doubles, MomentsState, Stage
from dreamshare.algorithms.posteriors import told
from dreamshare.algorithms.shares import over_mass
from dreamshare.learning.moments import FeatureMaps, feature_maps, match, size_of_map
from dreamshare.payloads.pixels import packed
from dreamshare.updates import Array, PublicArray, Update


def maps_of(config: MomentsConfig) -> FeatureMaps:
    """Return the public maps of a config."""
    form = forms.form_of(config)
    return feature_maps(config.shape, form.components // size_of_map(config.shape), config.seed)


def answer(
    config: MomentsConfig, totals_K: Doubles, by_class: Iterable[tuple[int, Doubles]]
) -> Update:
    """Return sums of features by class over the announced totals.

    Args:
        config: of the run.
        totals_K: announced, of the classes that this device sums.
        by_class: their examples, of one class at a time, in the unit space.
    """
    maps = maps_of(config)
    share_K, features_KF = np.zeros(config.classes), np.zeros((config.classes, maps.count))
    for label, u_ND in by_class:
        share_K[label] += len(u_ND) / totals_K[label]
        features_KF[label] += maps.of(u_ND).sum(axis=0) / totals_K[label]
    fields = forms.describe_fields(config, forms.form_of(config))
    return bounds.answer({"share": share_K, "features": features_KF}, fields, 1.0, 1.0)


def described(
    config: MomentsConfig, state: MomentsState, total: Mapping[str, Array]
) -> MomentsState:
    """Return the state with the means that the sums tell."""
    share_K = np.asarray(total["share"], np.float64)
    held_K = np.rint(np.clip(share_K, 0.0, 1.0) * state.totals_K)
    known_K = np.where(held_K >= config.least_examples, held_K, 0.0)
    mean_KF = over_mass(np.asarray(total["features"], np.float64), share_K[:, None], 1)
    mean_KF = mean_KF * (known_K > 0)[:, None]
    return replace(
        state, stage=Stage.LEARN, known_K=known_K, features_KF=mean_KF.astype(np.float32)
    )


def drawn(config: MomentsConfig, tensors: Mapping[str, PublicArray]) -> Pictures:
    """Return what told sums make: of other forms what is drawn, here what is matched.

    Raises:
        ConfigError: sums are missing, of other shapes, or not finite.
    """
    if forms.form_of(config).kind != "maps":
        return synthesis.drawn(config, tensors)
    c, maps = config, maps_of(config)
    present = np.flatnonzero(told(tensors, "totals", (c.classes,)) > 0)
    wanted_KF = told(tensors, "features", (c.classes, maps.count))[present]
    u_KID = match(maps, wanted_KF, c.images, c.match_steps, c.match_rate, c.seed)
    x_MCHW = c.space.inputs(u_KID.transpose(1, 0, 2).reshape(-1, c.space.values))
    labels_M = np.tile(present.astype(np.int64), c.images)
    return Pictures(packed(x_MCHW, *c.space.ends), labels_M, c.space)
