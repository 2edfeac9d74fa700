"""Federated automatic differentiation: `loss.backward()` across devices, under masks.

A program is a registered pure function of a device's data and of public tensors; a federation sums
its results over devices as one torch function, whose derivatives are sums again (docs/adr/0029).

Rules:
- devices run what they registered, never what a client sends;
- only sums come back; there is no way to ask for one device's value.
"""

from __future__ import annotations

from dreamshare.algorithms.autodiff.config import Argument, AutodiffConfig, Program, Result
from dreamshare.autodiff.costs import Explanation, RoundCost
from dreamshare.autodiff.dropouts import CrowdChanged
from dreamshare.autodiff.federation import Federation
from dreamshare.autodiff.oracle import OracleRounds
from dreamshare.autodiff.rounds import Answer, Rounds, SimulatedRounds
from dreamshare.autodiff.session import NotAnswered, federation
from dreamshare.autodiff.sums import Clipped

__all__ = (
    "Answer",
    "Argument",
    "AutodiffConfig",
    "Clipped",
    "CrowdChanged",
    "Explanation",
    "Federation",
    "NotAnswered",
    "OracleRounds",
    "Program",
    "Result",
    "RoundCost",
    "Rounds",
    "SimulatedRounds",
    "federation",
)
