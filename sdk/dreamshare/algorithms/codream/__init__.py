"""`codream/1`: devices shape shared dreams together, label them together and learn from them."""

from __future__ import annotations

from dreamshare.algorithms.codream.algorithm import Codream, CodreamState
from dreamshare.algorithms.codream.config import CodreamConfig

__all__ = ("Codream", "CodreamConfig", "CodreamState")
