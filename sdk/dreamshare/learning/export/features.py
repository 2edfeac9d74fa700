"""Statistics of features at LayerNorm and GroupNorm layers, in what is traced.

Shape legend: N batch, C channels.

Rules:
- layers are counted, and channels chosen, as `dreamshare.learning.torch.features` does it;
- what they compare with are inputs of the graph, "S/<number>.mean" and "S/<number>.var": the
  device's own, which the graph "statistics" gives for a batch of its data;
- "statistics" takes the mean of each example first: onnxruntime adds values one after the other,
  which over a whole batch loses several times what torch's sum in blocks does;
- hooks live for one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from dreamshare.learning.export.normalised import moments, wide
from dreamshare.learning.export.norms import rms
from dreamshare.learning.onnx.ports import STATISTICS
from dreamshare.learning.torch.features import PlainNorm

Hook = Callable[[nn.Module, tuple[Tensor, ...]], None]


@contextmanager
def recording(norms: Sequence[PlainNorm]) -> Iterator[dict[str, Tensor]]:
    """Let a forward pass fill a table: mean and biased variance of each channel of each layer."""
    found: dict[str, Tensor] = {}

    def hook(number: int) -> Hook:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = _channels_second(layer, inputs[0])
            mean_C = _in_two(x)
            found[f"{STATISTICS}{number}.mean"] = mean_C
            found[f"{STATISTICS}{number}.var"] = _in_two((x - wide(mean_C, x)) ** 2)

        return record

    with ExitStack() as hooks:
        for number, layer in enumerate(norms):
            hooks.callback(layer.register_forward_pre_hook(hook(number)).remove)
        yield found


@contextmanager
def measuring(norms: Sequence[PlainNorm], known: Mapping[str, Tensor]) -> Iterator[list[Tensor]]:
    """Let a forward pass fill a list: RMS of mean and variance against the known, one a layer."""
    distances: list[Tensor] = []

    def hook(number: int) -> Hook:
        def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            mean_C, var_C = moments(_channels_second(layer, inputs[0]))
            own = (known[f"{STATISTICS}{number}.mean"], known[f"{STATISTICS}{number}.var"])
            distances.append(rms(mean_C - own[0]) + rms(var_C - own[1]))

        return measure

    with ExitStack() as hooks:
        for number, layer in enumerate(norms):
            if f"{STATISTICS}{number}.mean" in known:
                hooks.callback(layer.register_forward_pre_hook(hook(number)).remove)
        yield distances


def _in_two(x: Tensor) -> Tensor:
    """Return the mean of each channel, over an example and then over the batch."""
    each_NC = x.mean(dim=tuple(range(2, x.dim()))) if x.dim() > 2 else x
    return each_NC.mean(dim=0)


def _channels_second(layer: nn.Module, features: Tensor) -> Tensor:
    """Return features as (N, C, ...): a LayerNorm has its channels last."""
    last = isinstance(layer, nn.LayerNorm) and features.dim() > 2
    return features.movedim(-1, 1) if last else features
