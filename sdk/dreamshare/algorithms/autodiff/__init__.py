"""`autodiff/1`: evaluations of registered programs, asked one by one by a client."""

from __future__ import annotations

from dreamshare.algorithms.autodiff.algorithm import Autodiff, AutodiffState
from dreamshare.algorithms.autodiff.config import AutodiffConfig

__all__ = ("Autodiff", "AutodiffConfig", "AutodiffState")
