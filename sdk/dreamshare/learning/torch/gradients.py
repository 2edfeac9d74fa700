"""The gradient of a net's loss by its parameters, without a step.

Rules:
- in evaluation mode; parameters, buffers and their `.grad` stay as they are;
- parts are weighted by their rows, so that the result does not depend on how examples are cut.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare.learning.base import ParameterGradient
from dreamshare.learning.torch.pixels import rows


def parameter_gradient(net: nn.Module, parts: Iterable[tuple[Tensor, Tensor]]) -> ParameterGradient:
    """Return mean cross-entropy over all parts, and its gradient.

    Args:
        net: its mode is put back.
        parts: inputs and class indices.

    Raises:
        ConfigError: the net gives another number of rows than there are labels.
    """
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p) for name, p in named.items()}
    modes = [(module, module.training) for module in net.modules()]
    total, count = 0.0, 0
    net.eval()
    try:
        for x, y in parts:
            logits = rows(net(x))
            if len(logits) != y.numel():
                raise ConfigError(
                    f"the net gives {len(logits)} rows of logits for {y.numel()} labels"
                )
            wanted = y.reshape(-1).to(logits.device)
            loss = functional.cross_entropy(logits, wanted, reduction="sum")
            found = torch.autograd.grad(
                loss, list(named.values()), allow_unused=True, materialize_grads=True
            )
            for name, gradient in zip(named, found, strict=True):
                sums[name] += gradient
            total, count = total + float(loss.detach()), count + len(logits)
    finally:
        for module, mode in modes:
            module.training = mode
    most = max(count, 1)
    arrays = {
        name: np.array((gradient / most).cpu().numpy(), dtype=np.float32, order="C")
        for name, gradient in sums.items()
    }
    return ParameterGradient(total / most, arrays)
