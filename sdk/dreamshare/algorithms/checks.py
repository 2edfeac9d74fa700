"""Checks that configs of algorithms share; every one raises a ConfigError that names the field.

Rules: for frozen dataclasses, called in `__post_init__` with the object itself.
"""

from __future__ import annotations

import math
from typing import get_args

from dreamshare.errors import ConfigError


def whole(config: object, name: str, least: int, most: int) -> None:
    """Demand a number from `least` to `most`."""
    value = getattr(config, name)
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}; choose {least} to {most}")


def positive(config: object, *names: str) -> None:
    """Demand finite numbers > 0."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}; it must be finite and > 0")


def not_negative(config: object, *names: str) -> None:
    """Demand finite numbers >= 0."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}; it must be finite and >= 0")


def choice(config: object, name: str, choices: object) -> None:
    """Demand one of a `Literal`'s texts."""
    value = getattr(config, name)
    if value not in get_args(choices):
        raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}")
