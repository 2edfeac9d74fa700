"""A net small enough to check by hand or by double-precision difference quotients."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dreamshare.learning.torch import TorchLearner

CLASSES = 3
SHAPE = (1, 4, 4)


def tiny_net(seed: int) -> nn.Module:
    """Two convolutions with BatchNorm; running statistics away from their start values."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    )
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.normal_(0, 0.5, generator=generator)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.uniform_(0.5, 2.0, generator=generator)
    return net


def tiny_learner(seed: int = 0) -> TorchLearner:
    return TorchLearner(tiny_net(seed), classes=CLASSES)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)
