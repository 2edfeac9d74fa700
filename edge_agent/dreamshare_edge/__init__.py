"""The edge agent: a device that takes part in rounds, in an application or as a service.

Rules: this is the whole public surface; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamshare_edge.agent import EdgeAgent, Surroundings
    from dreamshare_edge.conditions import (
        Conditions,
        DeviceConditions,
        ManualConditions,
        Refreshed,
    )
    from dreamshare_edge.conditions_linux import LinuxConditions
    from dreamshare_edge.config import AgentConfig, load_config
    from dreamshare_edge.describe import sentence_of
    from dreamshare_edge.equipment import Equipment
    from dreamshare_edge.policy import Policy
    from dreamshare_edge.store import FileJournal, FileStore

__all__ = (
    "EdgeAgent",
    "Surroundings",
    "Policy",
    "FileStore",
    "FileJournal",
    "Equipment",
    "Conditions",
    "DeviceConditions",
    "ManualConditions",
    "LinuxConditions",
    "Refreshed",
    "AgentConfig",
    "load_config",
    "sentence_of",
)

_HOMES = MappingProxyType(
    {
        "EdgeAgent": "agent",
        "Surroundings": "agent",
        "Policy": "policy",
        "FileStore": "store",
        "FileJournal": "store",
        "Equipment": "equipment",
        "Conditions": "conditions",
        "DeviceConditions": "conditions",
        "ManualConditions": "conditions",
        "LinuxConditions": "conditions_linux",
        "Refreshed": "conditions",
        "AgentConfig": "config",
        "load_config": "config",
        "sentence_of": "describe",
    }
)


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dreamshare_edge' has no attribute {name!r}")
    value: object = getattr(import_module(f"dreamshare_edge.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
