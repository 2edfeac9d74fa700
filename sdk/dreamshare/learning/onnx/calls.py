"""Objectives as inputs of a bundle's graphs.

Shape legend: N batch, K classes. Objectives have rows; graphs of a model that labels pixels take
and give (N, H, W, ...) instead.

Rules:
- every term that an objective leaves out has weight 0;
- what an objective asks for and a net cannot give is refused as `TorchLearner` refuses it;
- the graphs know one disagreement with a student, "jsd"; any other enters as a cotangent, made of
  the logits of a run before (`folded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.disagreement import disagreement
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare.learning.onnx.ports import STATISTICS
from dreamshare.learning.onnx.tensors import Arrays

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Folded:
    """An objective whose disagreement is a cotangent, and what that was made of.

    Attributes:
        objective: without an adversarial term.
        term: mean disagreement per dream, nats.
        student_NK: gradient of the first objective with respect to the student's logits.
    """

    objective: DreamObjective
    term: float
    student_NK: Floats


def folded(objective: DreamObjective, student_NK: Floats, logits_NK: Floats) -> Folded:
    """Return an objective with the same gradient at inputs that have these logits."""
    apart = disagreement(objective.adversarial, logits_NK, student_NK)
    weight = -objective.adversarial_weight
    cotangent_NK = weight * apart.teacher_BK
    if objective.cotangent_BK is not None:
        cotangent_NK = cotangent_NK + objective.cotangent_BK
    plain = replace(
        objective,
        adversarial="none",
        student_BK=None,
        cotangent_BK=cotangent_NK.astype(np.float32),
    )
    return Folded(
        plain, float(apart.value_B.mean()), (weight * apart.student_BK).astype(np.float32)
    )


def dream_feeds(manifest: Manifest, x_NCHW: Floats, objective: DreamObjective) -> Feeds:
    """Return the inputs of "dream_grad" for an objective.

    Raises:
        ConfigError: the objective does not fit the batch or the net.
    """
    count, classes = len(x_NCHW) * manifest.rows, manifest.classes
    labelled = (len(x_NCHW), *manifest.places)
    own = statistics_feeds(manifest, objective)
    objective.check(count, classes)
    weights_N = np.ones(count, np.float32)
    if objective.weights_B is not None:
        weights_N = objective.weights_B.astype(np.float32)
    targets_NK = np.zeros((count, classes), np.float32)
    labels = objective.labels_B
    if labels is not None:
        targets_NK = one_hot(labels, classes)
    nothing_N = np.zeros(count, np.float32)
    nothing_NK = np.zeros((count, classes), np.float32)
    jsd = objective.adversarial == "jsd"
    cotangent = objective.cotangent_BK
    student = objective.student_BK
    by_row = {
        "targets": targets_NK,
        "student": nothing_NK if student is None else student,
        "cotangent": nothing_NK if cotangent is None else cotangent.astype(np.float32, copy=False),
        "label_weight": nothing_N if labels is None else weights_N,
        "entropy_weight": weights_N if labels is None else nothing_N,
    }
    return {
        "x": np.ascontiguousarray(x_NCHW, np.float32),
        **{name: each.reshape(*labelled, *each.shape[1:]) for name, each in by_row.items()},
        "feature_weight": scalar(objective.feature_weight),
        "diversity": scalar(objective.diversity),
        "adversarial": scalar(objective.adversarial_weight if jsd else 0.0),
        **own,
    }


def statistics_feeds(manifest: Manifest, objective: DreamObjective) -> Feeds:
    """Return statistics of the device's own data as "dream_grad" takes them; none with BatchNorm.

    Raises:
        ConfigError: the net knows no statistics, none of its own data were given, or they are of
            another net.
    """
    ports = manifest.own_statistics
    if objective.feature_weight == 0:
        return {port.name: np.zeros([int(n) for n in port.shape], np.float32) for port in ports}
    if manifest.statistics > 0:
        return {}
    why = "feature_weight > 0, but the net has no BatchNorm layer with running statistics"
    if not ports:
        raise ConfigError(
            f"{why}, and its bundle has no statistics of LayerNorm or GroupNorm; set "
            "feature_weight to 0, use a net that has them, or export an older bundle again"
        )
    if objective.statistics is None:
        raise ConfigError(
            f"{why}, and none of its own data were given for its other norm layers; "
            "take them by feature_statistics, or set feature_weight to 0"
        )
    given = {f"{STATISTICS}{name}": array for name, array in objective.statistics.items()}
    if {n: a.shape for n, a in given.items()} != {port.name: port.shape for port in ports}:
        raise ConfigError(f"statistics of {sorted(objective.statistics)[:4]} are of another net")
    return {name: array.astype(np.float32, copy=False) for name, array in given.items()}


def pooled(parts: Sequence[tuple[int, Arrays]]) -> dict[str, Floats]:
    """Return statistics of all examples from those of P parts, each with its number of examples.

    Every example has as many values of a channel, so the mean is that of the parts' means, and the
    variance that of their variances and of their means together.
    """
    share_P1 = np.array([[count] for count, _ in parts]) / sum(count for count, _ in parts)
    found: dict[str, Floats] = {}
    for name in parts[0][1]:
        stem, _, kind = name.removeprefix(STATISTICS).partition(".")
        if kind != "mean":
            continue
        mean_PC, var_PC = (
            np.stack(
                [arrays[f"{STATISTICS}{stem}.{each}"].astype(np.float64) for _, arrays in parts]
            )
            for each in ("mean", "var")
        )
        mean_C = (share_P1 * mean_PC).sum(axis=0)
        spread_C = (share_P1 * (var_PC + np.square(mean_PC - mean_C))).sum(axis=0)
        found[f"{stem}.mean"] = mean_C.astype(np.float32)
        found[f"{stem}.var"] = spread_C.astype(np.float32)
    return found


def dream_result(found: Arrays, objective: DreamObjective) -> InputGradient:
    """Return what "dream_grad" found as `GivesInputGradients` promises it."""
    task = found["entropy"] if objective.labels_B is None else found["wrong"]
    weights = objective.weights_B
    task_N = task.reshape(-1).astype(np.float64)
    if weights is not None:
        task_N = task_N * weights
    terms = {"task": float(task_N.mean())}
    if objective.feature_weight > 0:
        terms["features"] = float(found["features"])
    if objective.diversity > 0:
        terms["diversity"] = float(found["spread"])
    student = None
    if objective.student_BK is not None:
        terms["adversarial"] = float(found["apart"])
        student = _rows(found["student_cotangent"])
    return InputGradient(
        gradient_NCHW=found["gradient"].astype(np.float32, copy=False),
        logits_NK=_rows(found["logits"]),
        terms=terms,
        student_cotangent_BK=student,
    )


def local_feeds(manifest: Manifest, batch: Batch, objective: FitObjective) -> Feeds:
    """Return the inputs for local, labelled examples: the batch's statistics, which move.

    Raises:
        ConfigError: the batch has no y_N, or a class that the net does not have.
    """
    if batch.y_N is None:
        raise ConfigError("the first batch of a step needs y_N: it is local, labelled data")
    if batch.y_N.shape[1:] != manifest.places:
        kind = "pixels, (N, H, W)" if manifest.places else "inputs, (N,)"
        raise ConfigError(f"the model needs labels of {kind}; y_N has shape {batch.y_N.shape}")
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


def nothing_feeds(manifest: Manifest, batch: Batch) -> Feeds:
    """Return inputs of weight 0: loss and gradient are 0, statistics stay as they are."""
    x_NCHW = np.ascontiguousarray(batch.x_NCHW[:2], np.float32)
    return {
        "x": x_NCHW,
        "targets": np.zeros((len(x_NCHW), *manifest.places, manifest.classes), np.float32),
        "log_prior": np.zeros(manifest.classes, np.float32),
        "temperature": scalar(1.0),
        "weight": scalar(0.0),
        "batch": scalar(0.0),
        "track": scalar(0.0),
    }


def one_hot(y_N: NDArray[np.int64], classes: int) -> Floats:
    """Return hard labels as soft ones; the classes are one more axis."""
    result: Floats = (y_N[..., None] == np.arange(classes)).astype(np.float32)
    return result


def scalar(value: float) -> Floats:
    """Return a 0-d float32 array."""
    return np.asarray(value, np.float32)


def _rows(array: NDArray[np.generic]) -> Floats:
    """Return logits or what is of their shape, a row an example or a pixel."""
    result: Floats = array.reshape(-1, array.shape[-1]).astype(np.float32, copy=False)
    return result
