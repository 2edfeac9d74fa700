"""Checks that configs of algorithms share; every one raises a ConfigError that names the field.

Rules: for frozen dataclasses, called in `__post_init__`.
"""

from __future__ import annotations

import math
from typing import get_args

from dreamshare.errors import ConfigError


def inputs(shape: tuple[int, ...], low: float, high: float) -> None:
    """Demand (channels, height, width), each >= 1, and a finite range of an input's values."""
    if len(shape) != 3 or min(shape) < 1:
        raise ConfigError(f"shape is {shape}; give (channels, height, width), each >= 1")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"low {low} must lie below high {high}, both finite")


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


def digest(config: object, *names: str) -> None:
    """Demand 64 lower-case hex digits."""
    for name in names:
        value = str(getattr(config, name))
        if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
            raise ConfigError(f"{name} must be a SHA-256 digest: 64 lower-case hex digits")
