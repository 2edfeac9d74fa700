"""The aggregator: tasks, their rounds, and what is kept of them, as a service or in a program.

Rules: this is the whole public surface; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamshare.results import Result, TaskEnded
    from dreamshare_aggregator.board import AggregatorStopped
    from dreamshare_aggregator.capture import Captured, read_capture
    from dreamshare_aggregator.config import AggregatorConfig, load_config
    from dreamshare_aggregator.handle import Task
    from dreamshare_aggregator.service import Aggregator
    from dreamshare_aggregator.store import Store, open_store
    from dreamshare_aggregator.surroundings import Surroundings
    from dreamshare_aggregator.turns import TurnSettings

__all__ = (
    "Aggregator",
    "Surroundings",
    "Result",
    "Task",
    "TaskEnded",
    "AggregatorStopped",
    "TurnSettings",
    "Store",
    "open_store",
    "AggregatorConfig",
    "load_config",
    "Captured",
    "read_capture",
)

_HOMES = MappingProxyType(
    {
        "Aggregator": "service",
        "Surroundings": "surroundings",
        "Result": "handle",
        "Task": "handle",
        "TaskEnded": "handle",
        "AggregatorStopped": "board",
        "TurnSettings": "turns",
        "Store": "store",
        "open_store": "store",
        "AggregatorConfig": "config",
        "load_config": "config",
        "Captured": "capture",
        "read_capture": "capture",
    }
)


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dreamshare_aggregator' has no attribute {name!r}")
    value: object = getattr(import_module(f"dreamshare_aggregator.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
