"""`fediod/1`: a generator and a student on the aggregator learn from what frozen models answer."""

from __future__ import annotations

from dreamshare.algorithms.fediod.algorithm import FedIOD
from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.algorithms.fediod.state import FedIODState

__all__ = ("FedIOD", "FedIODConfig", "FedIODState")
