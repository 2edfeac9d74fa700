"""`selftuning/1`: FedAvg whose server step and client weights are learnt by hypergradients."""

from __future__ import annotations

from dreamshare.algorithms.selftuning.algorithm import SelfTuning
from dreamshare.algorithms.selftuning.config import SelfTuningConfig
from dreamshare.algorithms.selftuning.state import SelfTuningState

__all__ = ("SelfTuning", "SelfTuningConfig", "SelfTuningState")
