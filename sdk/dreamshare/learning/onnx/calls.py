"""Objectives as inputs of a bundle's graphs.

Shape legend: N batch, K classes.

Rules:
- every term that an objective leaves out has weight 0;
- what an objective asks for and a net cannot give is refused as `TorchLearner` refuses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare.learning.onnx.tensors import Arrays

Feeds = dict[str, NDArray[np.generic]]


def dream_feeds(manifest: Manifest, x_NCHW: Floats, objective: DreamObjective) -> Feeds:
    """Return the inputs of "dream_grad" for an objective.

    Raises:
        ConfigError: the objective does not fit the batch or the net.
    """
    count, classes = len(x_NCHW), manifest.classes
    if objective.feature_weight > 0 and manifest.statistics == 0:
        raise ConfigError(
            "feature_weight > 0, but the net has no BatchNorm layer with running "
            "statistics; set feature_weight to 0 or use a net that has them"
        )
    weights_N = np.ones(count, np.float32)
    if objective.weights_B is not None:
        if objective.weights_B.shape != (count,):
            raise ConfigError(f"weights_B has shape {objective.weights_B.shape}, not ({count},)")
        weights_N = objective.weights_B.astype(np.float32)
    targets_NK = np.zeros((count, classes), np.float32)
    labels = objective.labels_B
    if labels is not None:
        if labels.shape != (count,) or (count and labels.max() >= classes):
            raise ConfigError(f"labels_B must hold {count} classes below {classes}")
        targets_NK = one_hot(labels, classes)
    nothing_N = np.zeros(count, np.float32)
    return {
        "x": np.ascontiguousarray(x_NCHW, np.float32),
        "targets": targets_NK,
        "student": np.zeros((count, classes), np.float32),
        "cotangent": np.zeros((count, classes), np.float32),
        "label_weight": nothing_N if labels is None else weights_N,
        "entropy_weight": weights_N if labels is None else nothing_N,
        "feature_weight": scalar(objective.feature_weight),
        "diversity": scalar(objective.diversity),
        "adversarial": scalar(0.0),
    }


def dream_result(found: Arrays, objective: DreamObjective) -> InputGradient:
    """Return what "dream_grad" found as `GivesInputGradients` promises it."""
    task = found["entropy"] if objective.labels_B is None else found["wrong"]
    weights = objective.weights_B
    task_N = task.astype(np.float64) if weights is None else task * weights.astype(np.float64)
    terms = {"task": float(task_N.mean())}
    if objective.feature_weight > 0:
        terms["features"] = float(found["features"])
    if objective.diversity > 0:
        terms["diversity"] = float(found["spread"])
    return InputGradient(
        gradient_NCHW=found["gradient"].astype(np.float32, copy=False),
        logits_NK=found["logits"].astype(np.float32, copy=False),
        terms=terms,
    )


def local_feeds(manifest: Manifest, batch: Batch, objective: FitObjective) -> Feeds:
    """Return the inputs for local, labelled examples: the batch's statistics, which move.

    Raises:
        ConfigError: the batch has no y_N, or a class that the net does not have.
    """
    if batch.y_N is None:
        raise ConfigError("the first batch of a step needs y_N: it is local, labelled data")
    if len(batch.y_N) and batch.y_N.max() >= manifest.classes:
        raise ConfigError(f"y_N holds a class of {manifest.classes} or more")
    prior_K = np.zeros(manifest.classes, np.float32)
    if objective.class_prior is not None:
        if len(objective.class_prior) != manifest.classes:
            raise ConfigError(f"class_prior needs {manifest.classes} shares")
        prior_K = np.log(np.asarray(objective.class_prior, np.float32))
    return {
        "x": np.ascontiguousarray(batch.x_NCHW, np.float32),
        "targets": one_hot(batch.y_N, manifest.classes),
        "log_prior": prior_K,
        "temperature": scalar(1.0),
        "weight": scalar(1.0),
        "batch": scalar(1.0),
        "track": scalar(1.0),
    }


def distillation_feeds(manifest: Manifest, batch: Batch, objective: FitObjective) -> Feeds:
    """Return the inputs for dreams with soft labels: running statistics stay as they are.

    Raises:
        ConfigError: the batch has no targets_NK.
    """
    if batch.targets_NK is None:
        raise ConfigError("the second batch of a step needs targets_NK: soft labels")
    return {
        "x": np.ascontiguousarray(batch.x_NCHW, np.float32),
        "targets": np.ascontiguousarray(batch.targets_NK, np.float32),
        "log_prior": np.zeros(manifest.classes, np.float32),
        "temperature": scalar(objective.temperature),
        "weight": scalar(objective.distillation_weight),
        "batch": scalar(1.0 if objective.distillation_norm == "batch" else 0.0),
        "track": scalar(0.0),
    }


def one_hot(y_N: NDArray[np.int64], classes: int) -> Floats:
    """Return hard labels as soft ones, shape (N, classes)."""
    result: Floats = (y_N[:, None] == np.arange(classes)).astype(np.float32)
    return result


def scalar(value: float) -> Floats:
    """Return a 0-d float32 array."""
    return np.asarray(value, np.float32)
