"""Dreamshare: federated learning in which devices share dreams under secure aggregation.

Rules:
- this is the whole public surface of the library: names are added here by hand, and a test pins them;
- a name is imported when it is first used, so `import dreamshare` costs neither numpy nor torch,
  neither grpc nor a broker's client;
- the two shells are packages of their own: `dreamshare_edge` and `dreamshare_aggregator`.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
    from dreamshare.clock import Clock, ManualClock, SystemClock
    from dreamshare.errors import (
        BudgetExhausted,
        ConfigError,
        DreamshareError,
        FrameTooLarge,
        LocalProtocolError,
        PeerProtocolError,
        PrivacyError,
        Rejected,
        TransportError,
        Unreachable,
        UnsafePlan,
    )
    from dreamshare.learning.base import Batch, Data, Learner
    from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase, TaskReport, TaskStatus
    from dreamshare.updates import Field, Update

__version__ = "0.1.0"

__all__ = (
    "__version__",
    # time
    "Clock",
    "ManualClock",
    "SystemClock",
    # what leaves a device
    "Field",
    "Update",
    # algorithms
    "Algorithm",
    "Ask",
    "Crowd",
    "Done",
    "Tell",
    # learners
    "Batch",
    "Data",
    "Learner",
    # tasks
    "Cohort",
    "Deadlines",
    "TaskPhase",
    "TaskReport",
    "TaskStatus",
    # errors
    "BudgetExhausted",
    "ConfigError",
    "DreamshareError",
    "FrameTooLarge",
    "LocalProtocolError",
    "PeerProtocolError",
    "PrivacyError",
    "Rejected",
    "TransportError",
    "Unreachable",
    "UnsafePlan",
)

_HOMES = MappingProxyType(
    {
        "dreamshare.algorithms.base": ("Algorithm", "Ask", "Crowd", "Done", "Tell"),
        "dreamshare.clock": ("Clock", "ManualClock", "SystemClock"),
        "dreamshare.errors": (
            "BudgetExhausted",
            "ConfigError",
            "DreamshareError",
            "FrameTooLarge",
            "LocalProtocolError",
            "PeerProtocolError",
            "PrivacyError",
            "Rejected",
            "TransportError",
            "Unreachable",
            "UnsafePlan",
        ),
        "dreamshare.learning.base": ("Batch", "Data", "Learner"),
        "dreamshare.protocol.messages": (
            "Cohort",
            "Deadlines",
            "TaskPhase",
            "TaskReport",
            "TaskStatus",
        ),
        "dreamshare.updates": ("Field", "Update"),
    }
)


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'dreamshare' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
