"""`fedh2l/1`: devices teach each other on a seed set, each by the mean of all others."""

from __future__ import annotations

from dreamshare.algorithms.fedh2l.algorithm import FedH2L, FedH2LState
from dreamshare.algorithms.fedh2l.config import FedH2LConfig

__all__ = ("FedH2L", "FedH2LConfig", "FedH2LState")
