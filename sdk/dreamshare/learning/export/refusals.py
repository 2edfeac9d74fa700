"""What an export refuses, in words that say what to do."""

from __future__ import annotations

from dreamshare.errors import ConfigError


class ExportError(ConfigError):
    """A net, a torch version or a setting that cannot be exported; the text says what to do."""


def first_line(error: Exception) -> str:
    """Return what somebody else's error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def unsupported(operator: str, where: str, instead: str = "") -> ExportError:
    """Return the refusal of an operator, by its name."""
    way = instead or (
        "compose the layer from operators in the table of supported ones "
        "(`dreamshare.learning.export.supported_operators()`), or use TorchLearner on this device"
    )
    return ExportError(f"{where} uses {operator}, which the exporter does not translate; {way}")


def fixed_batch(where: str) -> ExportError:
    """Return the refusal of a net that works at one batch size only."""
    return ExportError(
        f"{where} fixes the batch size; use x.shape[0] or -1 where the net's code has a number, "
        "and no Python branch on the batch"
    )


def not_any_batch(where: str, size: int, error: str) -> ExportError:
    """Return the refusal of a graph that does not run at a batch size."""
    return ExportError(
        f"{where} does not run with a batch of {size} ({error}); use x.shape[0] or -1 where the "
        "net's code has the number of examples"
    )


def without_output(where: str) -> ExportError:
    """Return the refusal of a graph that gives nothing back."""
    return ExportError(f"{where} returns no tensor; a net returns its logits")
