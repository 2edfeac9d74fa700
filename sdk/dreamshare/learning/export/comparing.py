"""One graph and torch on the same fresh data, both against torch in float64.

Shape legend: N batch, K classes.

Rules:
- the judge is `TorchLearner`'s own code in float64, not the functions that were traced;
- an error is the largest difference over all outputs of a graph, relative to the largest value of
  the output's group: logits, the gradient for x, terms, all gradients of weights, how far a step
  moved all weights, how far it moved all statistics; counters must be equal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective, FitObjective, Optimizer
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.calls import dream_feeds, dream_result
from dreamshare.learning.onnx.ports import STATISTICS
from dreamshare.learning.onnx.training import Training, TrainState
from dreamshare.learning.torch.dreaming import evaluate_objective, teaching
from dreamshare.learning.torch.features import feature_statistics
from dreamshare.learning.torch.fitting import Fitter, TorchBatch
from dreamshare.learning.torch.pixels import rows

FACTOR = 4.0
"""What a graph may lose, in what torch loses."""
SURE = 1e-4
"""Share of the largest gradient below which Adam's step may be left out: its sign is then that of a
rounding error, in torch as well."""

Values = dict[str, NDArray[np.float64]]
"""Results by "group/name", or by name where a result is a group of its own."""


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


def compare(
    bundle: Bundle,
    net: nn.Module,
    name: str,
    *,
    size: int,
    batches: int,
    seed: int = 1,
    sure: bool = False,
) -> Compared:
    """Return the errors of one graph over fresh batches of `size` examples.

    Args:
        bundle: holds the graph.
        net: what the bundle was made from.
        name: of the graph.
        size: N.
        batches: how many.
        seed: of the examples.
        sure: leave out what Adam does where a gradient is below `SURE` of the largest.
    """
    nets = {dtype: _copy(net, dtype) for dtype in (torch.float32, torch.float64)}
    ours, theirs = [], []
    run = (_training("adam", SURE) if sure and name == "train_adam" else _RUNS[name])(bundle, nets)
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
        sizes = (size, *bundle.manifest.places)
        soft = rng.dirichlet(np.ones(classes), sizes).astype(np.float32)
        labels = rng.integers(0, classes, sizes)
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
            found = program.run({"x": x})["logits"]
            results = [_wide({"logits": found.reshape(-1, found.shape[-1])})]
            for dtype, net in nets.items():
                with teaching(net), torch.inference_mode():
                    logits = rows(net(torch.tensor(x, dtype=dtype)))
                    results.append({"logits": logits.double().numpy()})
            return results[0], results[1], results[2]

        return run

    return prepare


def _dream(bundle: Bundle, nets: Nets) -> Run:
    program = bundle.open("dream_grad", bundle.weights())
    own = bool(bundle.manifest.own_statistics)
    feature_weight = 10.0 if bundle.manifest.statistics or own else 0.0

    def run(examples: _Examples) -> tuple[Values, Values, Values]:
        x = examples.dreams.x_NCHW
        labels_B = examples.labels_N.reshape(-1)
        weights = np.linspace(0.5, 1.5, len(labels_B)).astype(np.float32)
        objective = DreamObjective(
            labels_B=labels_B,
            weights_B=weights,
            feature_weight=feature_weight,
            diversity=0.5,
            statistics=_known(nets, examples) if own else None,
        )
        found = program.run(dream_feeds(bundle.manifest, x, objective))
        result = dream_result(found, objective)
        arrays = {"gradient": result.gradient_NCHW, "logits": result.logits_NK}
        results = [_wide(arrays) | _terms(result.terms)]
        for dtype, net in nets.items():
            seen = evaluate_objective(net, torch.tensor(x, dtype=dtype), objective)
            tensors = {"gradient": seen.gradient, "logits": seen.logits}
            exact = {name: tensor.double().numpy() for name, tensor in tensors.items()}
            results.append(exact | _terms(seen.terms))
        return results[0], results[1], results[2]

    return run


def _statistics(bundle: Bundle, nets: Nets) -> Run:
    program = bundle.open("statistics", bundle.weights())

    def run(examples: _Examples) -> tuple[Values, Values, Values]:
        x = examples.local.x_NCHW
        results = [_wide(program.run({"x": x}))]
        for dtype, net in nets.items():
            with teaching(net), torch.no_grad():
                found = feature_statistics(net, torch.tensor(x, dtype=dtype))
            results.append({f"{STATISTICS}{n}": t.double().numpy() for n, t in found.items()})
        return results[0], results[1], results[2]

    return run


def _known(nets: Nets, examples: _Examples) -> dict[str, NDArray[np.float32]]:
    """Return what all three compare with: statistics of the local examples."""
    net = nets[torch.float64]
    with teaching(net), torch.no_grad():
        found = feature_statistics(net, torch.tensor(examples.local.x_NCHW).double())
    return {name: tensor.float().numpy() for name, tensor in found.items()}


def _gradients(bundle: Bundle, nets: Nets) -> Run:
    """The momentum after a first step without decay is the gradient."""
    training = Training(bundle)
    objective = _objective(bundle, "sgd", 0.0)

    def run(examples: _Examples) -> tuple[Values, Values, Values]:
        state = TrainState(bundle.weights())
        loss = training.step(state, (examples.local, examples.dreams), objective)
        results = [_wide(state.moments) | {"loss": np.array(loss)}]
        for dtype, net in nets.items():
            fitter = Fitter(copy.deepcopy(net))
            loss = fitter.fit([examples.step(dtype)], objective)
            moments = {
                f"M/{name.rpartition('/')[0]}": moment.double().numpy()
                for name, moment in fitter.state()[1].items()
            }
            results.append(moments | {"loss": np.array(loss)})
        return results[0], results[1], results[2]

    return run


def _training(kind: Optimizer, sure: float = 0.0) -> Callable[[Bundle, Nets], Run]:
    def prepare(bundle: Bundle, nets: Nets) -> Run:
        training = Training(bundle)
        objective = _objective(bundle, kind, 1e-3)

        def run(examples: _Examples) -> tuple[Values, Values, Values]:
            state = TrainState(bundle.weights())
            training.step(state, (examples.local, examples.dreams), objective)
            results = [_moved(bundle, state.weights, bundle.weights())]
            for dtype, net in nets.items():
                trained = copy.deepcopy(net)
                fitter = Fitter(trained)
                fitter.fit([examples.step(dtype)], objective)
                results.append(_moved(bundle, _state(trained), _state(net)))
                if dtype == torch.float64 and sure:
                    _leave_out(results, fitter.state()[1], sure)
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
    "statistics": _statistics,
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


def _moved(
    bundle: Bundle,
    after: Mapping[str, NDArray[np.generic]],
    before: Mapping[str, NDArray[np.generic]],
) -> Values:
    """Return how far a step moved the state: parameters, statistics, and counters one by one."""
    moved = {}
    for name in (*bundle.manifest.parameters, *bundle.manifest.buffers):
        group = "P/" if name in bundle.manifest.parameters else "B/"
        if not np.issubdtype(before[name].dtype, np.floating):
            group = f"{name}/"
        moved[group + name] = after[name].astype(np.float64) - before[name].astype(np.float64)
    return moved


def _leave_out(results: list[Values], moments: Mapping[str, Tensor], share: float) -> None:
    """Set steps to 0 where the exact gradient, in Adam's first moment, is nearly 0."""
    first = {
        f"P/{path.rpartition('/')[0]}": moment.abs().numpy()
        for path, moment in moments.items()
        if path.endswith("/exp_avg")
    }
    least = share * max(float(each.max(initial=0.0)) for each in first.values())
    for values in results:
        for name, moment in first.items():
            values[name] = np.where(moment >= least, values[name], 0.0)


def _wide(arrays: Mapping[str, NDArray[np.generic]]) -> Values:
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _terms(terms: Mapping[str, float]) -> Values:
    return {f"terms/{name}": np.array(value) for name, value in terms.items()}


def _state(net: nn.Module) -> dict[str, NDArray[np.generic]]:
    return {name: value.detach().numpy() for name, value in net.state_dict().items()}


def _distance(values: Values, right: Values) -> float:
    """Return the largest error over all results, relative to the largest value of its group.

    Infinite where a result is not finite.
    """
    if not all(np.isfinite(values[name]).all() for name in right):
        return math.inf
    scales: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, exact in right.items():
        group = name.partition("/")[0]
        error = float(np.abs(values[name] - exact).max(initial=0.0))
        errors[group] = max(errors.get(group, 0.0), error)
        scales[group] = max(scales.get(group, 0.0), float(np.abs(exact).max(initial=0.0)))
    return max(error / (scales[group] or 1.0) for group, error in errors.items())
