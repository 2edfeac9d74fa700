"""What an export refuses, in words that say what to do."""

from __future__ import annotations

from types import MappingProxyType

from dreamshare.errors import ConfigError


class ExportError(ConfigError):
    """A net, a torch version or a setting that cannot be exported; the text says what to do."""


_INSTEAD = MappingProxyType(
    {
        "native_dropout": "use torch.nn.Dropout, which is off in exported graphs",
        "bernoulli": "use torch.nn.Dropout, which is off in exported graphs",
        "rand_like": "exported graphs draw no random numbers: leave them out in eval()",
        "randn_like": "exported graphs draw no random numbers: leave them out in eval()",
        "max.dim": "use torch.amax, which spreads the gradient over ties",
        "min.dim": "use torch.amin, which spreads the gradient over ties",
        "cumsum": "multiply by a triangular matrix instead",
        "_fft_r2c": "multiply by a matrix of sines and cosines instead",
    }
)


def unsupported(operator: str, where: str, instead: str = "") -> ExportError:
    """Return the refusal of an operator, by its name."""
    packet = operator.removeprefix("aten.")
    known = _INSTEAD.get(packet) or _INSTEAD.get(packet.partition(".")[0])
    way = (
        instead
        or known
        or "compose the layer from operators in the table of supported ones "
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


def depends_on_values(where: str) -> ExportError:
    """Return the refusal of a net whose Python code looks at values."""
    return ExportError(
        f"{where} branches on values of tensors, or takes them out with item(), float() or "
        "numpy(); a graph has no branches: use torch.where, or arithmetic on tensors"
    )


def untraceable(where: str, error: Exception) -> ExportError:
    """Return the refusal of a net that the tracer cannot follow."""
    return ExportError(
        f"{where} runs, but cannot be traced ({type(error).__name__}: {first_line(error)}); use "
        "torch operators on the input alone, or use TorchLearner on this device"
    )


def first_line(error: Exception) -> str:
    """Return what an error says, one line of at most 200 characters."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
