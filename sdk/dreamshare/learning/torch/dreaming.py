"""The gradient of a dream objective with respect to its inputs.

Shape legend: B dreams, C channels, K classes; x is (B, C, H, W). Of a net that labels pixels B
counts pixels everywhere but in x.

Rules:
- the teacher is in evaluation mode and asks for no parameter gradients while it dreams; its
  parameters, buffers, modes and flags are the same before and after;
- disagreement with a student enters by its gradient with respect to the logits, a constant;
- the statistics term reads the *input* of every layer that knows statistics (`features`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.learning.disagreement import disagreement
from dreamshare.learning.objectives import DreamObjective
from dreamshare.learning.torch.features import batch_norms, measured
from dreamshare.learning.torch.pixels import rows

__all__ = ("Evaluated", "batch_norms", "evaluate_objective", "teaching")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A dream objective at one point: gradient (B, C, H, W), logits (B, K), unweighted terms.

    Attributes:
        student_cotangent: gradient with respect to the student's logits (B, K), or None.
    """

    gradient: Tensor
    logits: Tensor
    terms: dict[str, float]
    student_cotangent: Tensor | None = None


def evaluate_objective(net: nn.Module, x: Tensor, objective: DreamObjective) -> Evaluated:
    """Return the gradient of `objective` at x; see `DreamObjective` for the formula.

    Raises:
        ConfigError: labels or weights that do not fit the batch, or a feature term for a net that
            has no statistics to compare with.
    """
    with teaching(net), ExitStack() as hooks, torch.enable_grad():
        x = x.detach().requires_grad_(True)
        distances: list[Tensor] = []
        if objective.feature_weight > 0:
            distances = hooks.enter_context(measured(net, objective.statistics))
        logits = rows(net(x))
        count = len(logits)
        objective.check(*logits.shape)
        task_B = _task(logits, objective)
        total = task_B.sum()
        terms = {"task": float(task_B.detach().mean())}
        if objective.feature_weight > 0:
            features = torch.stack(distances).mean()
            total = total + count * objective.feature_weight * features
            terms["features"] = float(features.detach())
        if objective.diversity > 0:
            mean_K = functional.softmax(logits, dim=1).mean(dim=0)
            spread = -(mean_K * (mean_K + 1e-8).log()).sum()
            total = total - count * objective.diversity * spread
            terms["diversity"] = float(spread.detach())
        student_cotangent = None
        if objective.student_BK is not None:
            apart = disagreement(
                objective.adversarial, logits.detach().cpu().numpy(), objective.student_BK
            )
            weight = -objective.adversarial_weight
            total = total + (logits * _like(logits, weight * apart.teacher_BK)).sum()
            student_cotangent = _like(logits, weight * apart.student_BK)
            terms["adversarial"] = float(apart.value_B.mean())
        if objective.cotangent_BK is not None:
            total = total + (logits * _like(logits, objective.cotangent_BK)).sum()
        (gradient,) = torch.autograd.grad(total, x)
    return Evaluated(gradient, logits.detach(), terms, student_cotangent)


@contextmanager
def teaching(net: nn.Module) -> Iterator[None]:
    """Hold the net in evaluation mode without parameter gradients; restore both afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    wanted = [p for p in net.parameters() if p.requires_grad]
    net.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for module, mode in modes:
            module.training = mode


def _task(logits: Tensor, objective: DreamObjective) -> Tensor:
    """Return weights[b] * task(b), shape (B,)."""
    if objective.labels_B is None:
        log_p = functional.log_softmax(logits, dim=1)
        task_B = -(log_p.exp() * log_p).sum(dim=1)
    else:
        labels_B = torch.tensor(objective.labels_B, device=logits.device)
        task_B = functional.cross_entropy(logits, labels_B, reduction="none")
    if objective.weights_B is not None:
        task_B = task_B * torch.tensor(objective.weights_B, device=logits.device)
    return task_B


def _like(logits: Tensor, array: NDArray[np.float32] | NDArray[np.float64]) -> Tensor:
    """Return a constant of the logits' type and device."""
    return torch.tensor(array, dtype=logits.dtype, device=logits.device)
