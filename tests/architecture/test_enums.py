"""Tags do not collide: every enumeration gives each of its values one name."""

from __future__ import annotations

import enum
import importlib
import inspect

from tests.architecture.packages import modules


def enumerations() -> set[type[enum.Enum]]:
    """Return every enumeration that our modules define."""
    return {
        member
        for name in modules()
        if "_pb2" not in name
        for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if issubclass(member, enum.Enum) and member.__module__ == name
    }


def test_no_enumeration_has_aliases() -> None:
    found = enumerations()
    assert len(found) >= 5
    aliased = [e.__qualname__ for e in found if len(e.__members__) != len(list(e))]
    assert aliased == []
