"""The aggregator's student: a small public classifier in numpy that sees dreams alone.

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- it starts from the config's public seed and learns from public dreams and soft labels, so whoever
  follows a run could compute it: it tells nobody anything new (docs/adr/0023);
- its weights stay where they are; devices get its logits, and send gradients with respect to them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.disagreement import disagreement
from dreamshare.learning.plain import Trained, classifier
from dreamshare.learning.plain.nets import Chain
from dreamshare.learning.plain.training import distilled
from dreamshare.payloads.dreams import Floats, Replay
from dreamshare.updates import PublicArray

PREFIX = "student."
STREAM = 2**32 + 1
"""Keeps the student's random numbers apart from those of dreams."""


def net_of(config: CodreamConfig) -> Chain:
    """Return the student's layers."""
    return classifier(config.shape, config.classes, config.student_width)


def first_student(config: CodreamConfig) -> Trained:
    """Return the student before it has learnt; empty without one."""
    if config.student == "none":
        return Trained.start({})
    return Trained.start(net_of(config).start(np.random.default_rng([config.seed, STREAM])))


def taught(config: CodreamConfig, student: Trained, replay: Replay, cycle: int) -> Trained:
    """Return the student after a cycle's steps on replayed dreams."""
    if config.student == "none":
        return student
    rng = np.random.default_rng([config.seed, STREAM, cycle])
    net = net_of(config)
    for _ in range(config.student_steps):
        drawn = replay.draw(rng, config.distillation_batch)
        student = distilled(
            net, student, drawn.x_BCHW, drawn.targets_BK, config.student_rate, config.temperature
        )
    return student


def opinion(config: CodreamConfig, student: Trained, x_BCHW: Floats) -> Floats:
    """Return the student's logits (B, K)."""
    return net_of(config).forward(student.values, x_BCHW)[0]


def student_gradient(
    config: CodreamConfig, student: Trained, x_BCHW: Floats, cotangent_BK: Floats | None
) -> Floats:
    """Return the student's part of the gradient: its transposed Jacobian times cotangents.

    Args:
        config: kind and weight of the adversarial term.
        student: the weights that gave the logits.
        x_BCHW: where.
        cotangent_BK: mean of the devices' cotangents; None for "server_entropy", which has no
            teacher in it.
    """
    logits_BK, pull = net_of(config).forward(student.values, x_BCHW)
    if cotangent_BK is None:
        apart = disagreement(config.adversarial, logits_BK, logits_BK)
        cotangent_BK = (-config.adversarial_weight * apart.student_BK).astype(np.float32)
    return pull(cotangent_BK)[0]


def result_of(student: Trained) -> dict[str, PublicArray]:
    """Return the student's parameters as arrays of a result."""
    return {f"{PREFIX}{name}": array for name, array in student.values.items()}


def student_logits(
    config: CodreamConfig, result: Mapping[str, PublicArray], x_NCHW: Floats
) -> Floats:
    """Return what the student of a finished run says about inputs, (N, K).

    Raises:
        ConfigError: the result has no student.
    """
    values = {
        name.removeprefix(PREFIX): array.astype(np.float32, copy=False)
        for name, array in result.items()
        if name.startswith(PREFIX)
    }
    if not values:
        raise ConfigError("the result has no student; run with student='small'")
    return net_of(config).forward(values, x_NCHW)[0]
