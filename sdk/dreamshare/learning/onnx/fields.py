"""Fields of a manifest, read from JSON: each of its type or refused.

Rules:
- these raise TypeError; the manifest turns it into a BundleError that says what to do.
"""

from __future__ import annotations


def listed(value: object) -> list[object]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def whole(value: object) -> int:
    """Return a whole number."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def number(value: object) -> float:
    """Return a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
