"""The torch versions whose tracer this exporter was tested with."""

from __future__ import annotations

from importlib.metadata import version

from dreamshare.learning.export.refusals import ExportError

TESTED = ("2.13",)
"""Releases of torch, without the patch level; what `trace` uses of the tracer is not stable."""


def check_versions(torch: str | None = None) -> None:
    """Refuse a torch that was not tested.

    Raises:
        ExportError: the installed release is another one.
    """
    installed = torch or version("torch")
    if not any(installed == each or installed.startswith(f"{each}.") for each in TESTED):
        raise ExportError(
            f"torch {installed} was not tested with this exporter; install torch "
            f"{' or '.join(TESTED)} where you export (devices need no torch)"
        )
