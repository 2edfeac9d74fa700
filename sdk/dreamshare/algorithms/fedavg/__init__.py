"""`fedavg/1`: the weighted mean of what equal models learnt (McMahan et al. 2017), and FedProx."""

from __future__ import annotations

from dreamshare.algorithms.fedavg.algorithm import FedAvg
from dreamshare.algorithms.fedavg.config import FedAvgConfig, layout_of
from dreamshare.algorithms.fedavg.state import FedAvgState

__all__ = ("FedAvg", "FedAvgConfig", "FedAvgState", "layout_of")
