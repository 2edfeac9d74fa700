"""`codream/1`: devices shape shared dreams together, label them together and learn from them."""

from __future__ import annotations

from dreamshare.algorithms.codream.algorithm import Codream
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.state import CodreamState
from dreamshare.algorithms.codream.student import student_logits

__all__ = ("Codream", "CodreamConfig", "CodreamState", "student_logits")
