"""The terms of FedIOD's objective as values and gradients with respect to logits.

Shape legend: B images, K classes; z are logits, p = softmax(z).

    distance    "limit": sum_c (s~_c - t~_c)^2 / (2 K) on logits without their mean: what
                T^2 KL(softmax(t / T) || softmax(s / T)) becomes as T grows without end
                "kl": T^2 KL(softmax(t / T) || softmax(s / T))
    confidence  H(p): entropy of each prediction, nats
    balance     sum_c m_c log2 m_c, m the batch's mean prediction: least where classes are even
    divergence  of devices' predictions p_k from their mean m, equal weights:
                "code": mean_k KL(m || p_k), "uniqueness": JSD = H(m) - mean_k H(p_k)

Rules:
- everything is a sum over images, not their mean, and computed in float64;
- a logarithm of a device's probability is cut at `LEAST`, so that it has a bound in a masked sum;
  its gradient is 0 where it is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.measures import log_softmax

Distillation = Literal["limit", "kl"]
Divergence = Literal["none", "code", "uniqueness"]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST = 1e-3
"""Least probability of which a logarithm is taken and shared."""

SMALLEST = 1e-9
"""Least mean probability: rounding may leave nothing of a small one."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a student is from the ensemble that it learns from.

    Attributes:
        value_B: of each image, >= 0.
        ensemble_BK: d value_B / d ensemble's logits.
        student_BK: d value_B / d student's logits.
    """

    value_B: Doubles
    ensemble_BK: Doubles
    student_BK: Doubles


def distance(
    kind: Distillation,
    temperature: float,
    ensemble_BK: NDArray[np.float64],
    student_BK: NDArray[np.float32],
    known_K: Bools,
) -> Distance:
    """Return how far apart two sets of logits are on the classes that the cohort has.

    A class that nobody has is left out on both sides: a logit of 0 would be an opinion.
    """
    t, s = (a[:, known_K].astype(np.float64) for a in (ensemble_BK, student_BK))
    if kind == "limit":
        apart = (s - s.mean(axis=1, keepdims=True)) - (t - t.mean(axis=1, keepdims=True))
        count = t.shape[1]
        value_B = np.square(apart).sum(axis=1) / (2.0 * count)
        to_t, to_s = -apart / count, apart / count
    else:
        log_p, log_q = log_softmax(t / temperature), log_softmax(s / temperature)
        p, q = np.exp(log_p), np.exp(log_q)
        value_B = temperature**2 * (p * (log_p - log_q)).sum(axis=1)
        to_t, to_s = temperature * pulled(p, log_p - log_q), temperature * (q - p)
    return Distance(value_B, _widened(to_t, known_K), _widened(to_s, known_K))


def confidence(p_BK: Doubles, log_p_BK: Doubles) -> Doubles:
    """Return the gradient of the predictions' entropies with respect to logits."""
    return pulled(p_BK, -log_p_BK)


def balance(p_BK: Doubles) -> Doubles:
    """Return the gradient of B times the negative entropy, in bits, of the mean prediction."""
    mean_K = np.maximum(p_BK.mean(axis=0), SMALLEST)
    return pulled(p_BK, np.broadcast_to(np.log2(mean_K), p_BK.shape))


def cut_logs(log_p_BK: Doubles) -> Doubles:
    """Return logarithms as they are shared: at least log `LEAST`."""
    return np.maximum(log_p_BK, math.log(LEAST))


def divergence(
    kind: Divergence, p_BK: Doubles, log_p_BK: Doubles, mean_BK: Doubles, logs_BK: Doubles | None
) -> Doubles:
    """Return n times the gradient of the divergence with respect to one device's logits.

    Args:
        kind: which divergence.
        p_BK: the device's predictions.
        log_p_BK: their logarithms.
        mean_BK: the n devices' mean prediction m.
        logs_BK: mean of their `cut_logs`; needed for "code" alone.
    """
    m = np.maximum(mean_BK, SMALLEST)
    match kind:
        case "uniqueness":
            # d JSD / d p_k = log(p_k / m) / n, as m's own derivatives cancel.
            return pulled(p_BK, log_p_BK - np.log(m))
        case "code" if logs_BK is not None:
            through_mean = pulled(p_BK, np.log(m) - logs_BK)
            # d log p_k(c) / d z is the row of the identity minus p_k: none where it was cut.
            kept = np.where(log_p_BK > math.log(LEAST), m, 0.0)
            result: Doubles = through_mean - kept + p_BK * kept.sum(axis=1, keepdims=True)
            return result
    return np.zeros_like(p_BK)


def pulled(p_BK: Doubles, gradient_BK: Doubles) -> Doubles:
    """Return the gradient with respect to logits of what has this one with respect to p."""
    result: Doubles = p_BK * (gradient_BK - (p_BK * gradient_BK).sum(axis=1, keepdims=True))
    return result


def _widened(some: Doubles, known_K: Bools) -> Doubles:
    """Return columns put back in their places, zeros elsewhere."""
    whole = np.zeros((len(some), len(known_K)))
    whole[:, known_K] = some
    return whole
