"""Learners made of PyTorch modules, on a CPU or a CUDA device."""

from __future__ import annotations

from dreamshare.learning.torch.learner import TorchLearner

__all__ = ("TorchLearner",)
