"""`generative/1`: devices describe their data in sums, a generator makes examples of it."""

from __future__ import annotations

from dreamshare.algorithms.generative.algorithm import Generative
from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import GenerativeState

__all__ = ("Generative", "GenerativeConfig", "GenerativeState")
