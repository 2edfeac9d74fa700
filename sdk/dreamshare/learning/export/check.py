"""Every graph against torch itself, on fresh data, before a bundle is written.

Shape legend: N batch, K classes.

Rules:
- the judge is `TorchLearner`'s own code in float64, not the functions that were traced;
- torch in float32 on the same data says what rounding alone costs: a graph may lose at most
  `FACTOR` times that, in the median over the batches, because a ReLU whose input rounds to the
  other side of 0 costs either of them a single batch;
- an error is the largest difference over all outputs of a graph, relative to their largest value;
  of a training step, what counts is how far the weights moved.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dreamshare.learning.base import Batch
from dreamshare.learning.export.refusals import ExportError, not_any_batch
from dreamshare.learning.objectives import DreamObjective, FitObjective, Optimizer
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.calls import dream_feeds
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.training import Training, TrainState
from dreamshare.learning.torch.dreaming import evaluate_objective, teaching
from dreamshare.learning.torch.fitting import Fitter, TorchBatch

FACTOR = 4.0
FLOOR = 5e-6
"""An error that no graph is refused for: a few roundings of float32."""
ADAM_FLOOR = 1e-3
"""The same for Adam, which divides a gradient by its size: one of nearly 0 gives a step of random
sign, in torch as well. The gradient itself is held to `FLOOR`."""

CHECKED = ("logits", "dream_grad", "gradients", "train_sgd", "train_adam")
LARGEST_INT8 = 0.25
"""Error of a single batch for which an 8-bit forward graph is refused."""
SIZES = (3, 8)
"""Batches of the check; neither is the traced one."""

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Errors of one graph, one number a batch.

    Attributes:
        onnx: of the graph.
        torch: of torch in float32.
    """

    onnx: tuple[float, ...]
    torch: tuple[float, ...]

    def holds(self, floor: float) -> bool:
        """Return whether the graph loses no more than it may."""
        finite = bool(np.isfinite(self.onnx).all())
        return finite and median(self.onnx) <= max(FACTOR * median(self.torch), floor)


def check_bundle(bundle: Bundle, net: nn.Module, batches: int) -> dict[str, tuple[float, float]]:
    """Return the median errors (graph, torch) by graph.

    Raises:
        ExportError: a graph differs from torch by more than rounding.
    """
    found = {}
    for name in CHECKED:
        for size in SIZES:
            try:
                compared = compare(bundle, net, name, size=size, batches=batches)
            except BundleError as error:
                raise not_any_batch(type(net).__name__, size, str(error)) from None
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


def floor_of(name: str) -> float:
    """Return the error of a graph that is never refused."""
    return ADAM_FLOOR if name == "train_adam" else FLOOR


def compare(
    bundle: Bundle, net: nn.Module, name: str, *, size: int, batches: int, seed: int = 1
) -> Compared:
    """Return the errors of one graph over fresh batches of `size` examples."""
    nets = {dtype: _copy(net, dtype) for dtype in (torch.float32, torch.float64)}
    ours, theirs = [], []
    run = _RUNS[name](bundle, nets)
    for number in range(batches):
        rng = np.random.default_rng([seed, number, size])
        graph, single, double = run(_Examples.draw(bundle, rng, size))
        ours.append(_distance(graph, double))
        theirs.append(_distance(single, double))
    return Compared(tuple(ours), tuple(theirs))


@dataclass(frozen=True, slots=True)
class _Examples:
    """Fresh inputs: local ones with classes, dreams with soft labels."""

    local: Batch
    dreams: Batch
    labels_N: NDArray[np.int64]

    @classmethod
    def draw(cls, bundle: Bundle, rng: np.random.Generator, size: int) -> _Examples:
        shape, classes = bundle.manifest.shape, bundle.manifest.classes
        x, dreams = (rng.standard_normal((size, *shape)).astype(np.float32) for _ in range(2))
        soft = rng.dirichlet(np.ones(classes), size).astype(np.float32)
        labels = rng.integers(0, classes, size)
        return cls(Batch(x, labels), Batch(dreams, targets_NK=soft), labels)

    def step(self, dtype: torch.dtype) -> tuple[TorchBatch, TorchBatch]:
        """Return both batches as `Fitter` takes them."""
        return _tensors(self.local, dtype), _tensors(self.dreams, dtype)


Run = Callable[[_Examples], tuple[Values, Values, Values]]
Nets = Mapping[torch.dtype, nn.Module]


def _logits(name: str) -> Callable[[Bundle, Nets], Run]:
    def prepare(bundle: Bundle, nets: Nets) -> Run:
        program = bundle.open(name, bundle.weights())

        def run(examples: _Examples) -> tuple[Values, Values, Values]:
            x = examples.local.x_NCHW
            results = [_wide(program.run({"x": x}))]
            for dtype, net in nets.items():
                with teaching(net), torch.inference_mode():
                    results.append({"logits": net(torch.tensor(x, dtype=dtype)).double().numpy()})
            return results[0], results[1], results[2]

        return run

    return prepare


def _dream(bundle: Bundle, nets: Nets) -> Run:
    program = bundle.open("dream_grad", bundle.weights())
    feature_weight = 10.0 if bundle.manifest.statistics else 0.0

    def run(examples: _Examples) -> tuple[Values, Values, Values]:
        x = examples.dreams.x_NCHW
        weights = np.linspace(0.5, 1.5, len(x)).astype(np.float32)
        objective = DreamObjective(
            labels_B=examples.labels_N,
            weights_B=weights,
            feature_weight=feature_weight,
            diversity=0.5,
        )
        found = program.run(dream_feeds(bundle.manifest, x, objective))
        results = [_wide({"gradient": found["gradient"], "logits": found["logits"]})]
        for dtype, net in nets.items():
            seen = evaluate_objective(net, torch.tensor(x, dtype=dtype), objective)
            results.append(
                {"gradient": seen.gradient.double().numpy(), "logits": seen.logits.double().numpy()}
            )
        return results[0], results[1], results[2]

    return run


def _gradients(bundle: Bundle, nets: Nets) -> Run:
    """The momentum after a first step without decay is the gradient."""
    training = Training(bundle)
    objective = _objective(bundle, "sgd", 0.0)

    def run(examples: _Examples) -> tuple[Values, Values, Values]:
        state = TrainState(bundle.weights())
        training.step(state, (examples.local, examples.dreams), objective)
        results = [{name[2:]: m.astype(np.float64) for name, m in state.moments.items()}]
        for dtype, net in nets.items():
            fitter = Fitter(copy.deepcopy(net))
            fitter.fit([examples.step(dtype)], objective)
            moments = fitter.state()[1]
            results.append({n.rpartition("/")[0]: m.double().numpy() for n, m in moments.items()})
        return results[0], results[1], results[2]

    return run


def _training(kind: Optimizer) -> Callable[[Bundle, Nets], Run]:
    def prepare(bundle: Bundle, nets: Nets) -> Run:
        training = Training(bundle)
        objective = _objective(bundle, kind, 1e-3)

        def run(examples: _Examples) -> tuple[Values, Values, Values]:
            state = TrainState(bundle.weights())
            training.step(state, (examples.local, examples.dreams), objective)
            results = [_moved(_wide(state.weights), _wide(bundle.weights()))]
            for dtype, net in nets.items():
                trained = copy.deepcopy(net)
                Fitter(trained).fit([examples.step(dtype)], objective)
                after, before = (_wide_state(each) for each in (trained, net))
                results.append(_moved(after, before))
            return results[0], results[1], results[2]

        return run

    return prepare


def _objective(bundle: Bundle, kind: Optimizer, decay: float) -> FitObjective:
    share = np.linspace(1.0, 2.0, bundle.manifest.classes)
    return FitObjective(
        optimizer=kind,
        learning_rate=0.1 if kind == "sgd" else 0.01,
        weight_decay=decay,
        distillation_weight=2.0,
        temperature=2.0,
        distillation_norm="batch" if kind == "sgd" else "running",
        class_prior=tuple(float(s) for s in share / share.sum()),
    )


_RUNS: Mapping[str, Callable[[Bundle, Nets], Run]] = {
    "logits": _logits("logits"),
    "logits_int8": _logits("logits_int8"),
    "dream_grad": _dream,
    "gradients": _gradients,
    "train_sgd": _training("sgd"),
    "train_adam": _training("adam"),
}


def _copy(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    copied = copy.deepcopy(net).to("cpu", dtype).eval()
    for module in copied.modules():  # dropout is off in exported graphs
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return copied


def _tensors(batch: Batch, dtype: torch.dtype) -> TorchBatch:
    y = None if batch.y_N is None else torch.tensor(batch.y_N)
    soft = None if batch.targets_NK is None else torch.tensor(batch.targets_NK, dtype=dtype)
    return torch.tensor(batch.x_NCHW, dtype=dtype), y, soft


def _moved(after: Values, before: Values) -> Values:
    return {name: after[name] - before[name] for name in after}


def _wide(arrays: Mapping[str, NDArray[np.generic]]) -> Values:
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _wide_state(net: nn.Module) -> Values:
    return {name: value.double().numpy() for name, value in net.state_dict().items()}


def _distance(values: Values, right: Values) -> float:
    """Return the largest error over all outputs, relative to their largest value."""
    scale = max(float(np.abs(exact).max(initial=0.0)) for exact in right.values())
    worst = max(float(np.abs(values[n] - exact).max(initial=0.0)) for n, exact in right.items())
    return worst / scale if scale > 0 else worst
