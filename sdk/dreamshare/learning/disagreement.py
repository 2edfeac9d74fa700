"""How far a teacher and a public student disagree about a batch, and who is to move how.

Shape legend: B dreams, K classes; p = softmax(teacher logits), q = softmax(student logits).

    jsd             1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2        (CoDream's text)
    masked_kl       KL(p || q) where both name the same class, else 0       (its code, fast form)
    server_entropy  H(q): what the student is unsure of, no teacher in it   (its code, direct form)

Rules:
- values are per dream, in nats; everything is computed in float64;
- gradients with respect to *logits* are all that either side needs: the teacher's owner continues
  through its own net, the student's owner through the student. So no weights travel, and the
  student's part of a sum over teachers is a sum of gradients with respect to its logits;
- the masks of "masked_kl" are constants, as in the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.measures import log_softmax
from dreamshare.learning.objectives import Adversarial

Logits = NDArray[np.float32] | NDArray[np.float64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What lies between a teacher and a student.

    Attributes:
        value_B: of each dream, nats, >= 0.
        teacher_BK: d value_B / d teacher logits.
        student_BK: d value_B / d student logits.
    """

    value_B: Doubles
    teacher_BK: Doubles
    student_BK: Doubles


def disagreement(kind: Adversarial, teacher_BK: Logits, student_BK: Logits) -> Disagreement:
    """Return value and gradients of `kind`; zeros for "none"."""
    log_p, log_q = log_softmax(teacher_BK), log_softmax(student_BK)
    p, q = np.exp(log_p), np.exp(log_q)
    match kind:
        case "none":
            nothing = np.zeros_like(p)
            return Disagreement(nothing.sum(axis=1), nothing, nothing)
        case "jsd":
            log_m = np.logaddexp(log_p, log_q) - np.log(2.0)
            from_p, from_q = log_p - log_m, log_q - log_m
            value_B = 0.5 * ((p * from_p) + (q * from_q)).sum(axis=1)
            # d JSD / d p = (log p - log m) / 2, as m's own derivatives cancel.
            return Disagreement(value_B, _pulled(p, 0.5 * from_p), _pulled(q, 0.5 * from_q))
        case "masked_kl":
            agreed_B1 = (teacher_BK.argmax(axis=1) == student_BK.argmax(axis=1))[:, None]
            apart = np.where(agreed_B1, log_p - log_q, 0.0)
            return Disagreement(
                (p * apart).sum(axis=1), _pulled(p, apart), np.where(agreed_B1, q - p, 0.0)
            )
        case "server_entropy":
            return Disagreement(-(q * log_q).sum(axis=1), np.zeros_like(p), _pulled(q, -log_q))


def _pulled(p: Doubles, gradient: Doubles) -> Doubles:
    """Return the gradient with respect to logits of what has this one with respect to p."""
    result: Doubles = p * (gradient - (p * gradient).sum(axis=1, keepdims=True))
    return result
