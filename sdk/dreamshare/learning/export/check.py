"""Every graph against torch itself, on fresh data, before a bundle is written.

Rules:
- torch in float32 on the same data says what rounding alone costs: a graph may lose at most
  `FACTOR` times that, in the median over the batches, because a ReLU whose input rounds to the
  other side of 0 costs either of them a single batch;
- where too many of the batches had such a unit, `MORE` times as many decide: a graph that is wrong
  is wrong on them as well;
- Adam's steps are looked at where a gradient is not nearly 0; the gradients, everywhere.
"""

from __future__ import annotations

from statistics import median

from torch import nn

from dreamshare.learning.export.comparing import Compared, compare
from dreamshare.learning.export.refusals import ExportError, not_any_batch
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.errors import BundleError

FLOOR = 5e-6
"""An error that no graph is refused for: a few roundings of float32."""
ADAM_FLOOR = 1e-3
"""The same for Adam, which divides a gradient by its size."""
CHECKED = ("logits", "dream_grad", "statistics", "gradients", "train_sgd", "train_adam")
"""Graphs that a bundle has, "statistics" only where its net compares with them."""
LARGEST_INT8 = 0.25
"""Error of a single batch for which an 8-bit forward graph is refused."""
SIZES = (3, 8)
"""Batches of the check; neither is the traced one."""
MORE = 5


def check_bundle(bundle: Bundle, net: nn.Module, batches: int) -> dict[str, tuple[float, float]]:
    """Return the median errors (graph, torch) by graph.

    Raises:
        ExportError: a graph differs from torch by more than rounding.
    """
    found = {}
    for name in checked(bundle):
        for size in SIZES:
            compared = _compared(bundle, net, name, size, batches)
            if not compared.holds(floor_of(name)):
                compared = _compared(bundle, net, name, size, MORE * batches)
            if not compared.holds(floor_of(name)):
                raise ExportError(
                    f"graph {name} of {type(net).__name__} differs from torch: median error "
                    f"{median(compared.onnx):.1e}, torch's own {median(compared.torch):.1e}; "
                    "nothing was written. Please report the net's layers; TorchLearner runs it "
                    "meanwhile"
                )
            found[name] = (median(compared.onnx), median(compared.torch))
    if "logits_int8" in bundle.manifest.graphs:
        compared = compare(bundle, net, "logits_int8", size=SIZES[-1], batches=batches)
        if not max(compared.onnx) < LARGEST_INT8:
            raise ExportError(
                f"the 8-bit forward graph of {type(net).__name__} is wrong by "
                f"{max(compared.onnx):.0%}; export it without --quantize"
            )
        found["logits_int8"] = (median(compared.onnx), median(compared.torch))
    return found


def checked(bundle: Bundle) -> tuple[str, ...]:
    """Return those of `CHECKED` that a bundle has."""
    return tuple(name for name in CHECKED if name in bundle.manifest.graphs)


def _compared(bundle: Bundle, net: nn.Module, name: str, size: int, batches: int) -> Compared:
    try:
        return compare(bundle, net, name, size=size, batches=batches, sure=True)
    except BundleError as error:
        raise not_any_batch(type(net).__name__, size, str(error)) from None


def floor_of(name: str) -> float:
    """Return the error of a graph that is never refused."""
    return ADAM_FLOOR if name == "train_adam" else FLOOR
