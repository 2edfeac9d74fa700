"""The operators that the exporter translates: what the table in the guide is made from."""

from __future__ import annotations

from dreamshare.learning.export.graphs import TABLE


def supported_operators() -> tuple[str, ...]:
    """Return the names of the ATen operators with a translation, sorted.

    Operators that torch itself takes apart into these are supported, too.
    """
    return tuple(sorted(f"aten.{name}" for name in TABLE if name != "affine"))
