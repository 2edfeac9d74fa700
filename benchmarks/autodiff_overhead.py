"""What a federated gradient costs beside the same gradient in one process, and beside DrJAX's.

    python -m benchmarks.autodiff_overhead [--agents 10] [--hidden 125] [--examples 64]
                                           [--times 5] [--no-drjax] [--json]

The program is the mean loss of a net of 784-hidden-10 (99,385 parameters with 125), by its
parameters; each of ten devices has 64 examples. Federated: `fed.value_and_grad` through the real
machines in this process, masks, signatures and encoding on, memory in place of a network
(`dreamshare.simulate`); value and gradient come with one round. One process: the devices' gradients
by torch, one after the other, and their mean. DrJAX (`benchmarks/peers/drjax_gradient.py`): the
same compiled by jax, ten clients as an axis of an array; nothing there is protected, or leaves the
process.

Rules:
- the three gradients are compared; a wrong one ends the run;
- every time is processor time of one thread, median of `times`; all ten devices and the aggregator
  compute in this one process, so that a device's part is about a tenth;
- where time goes: set-up is the first round less a later one; compute what devices' programs take;
  masks what it takes ten devices to quantise, pack, mask and sign such a vector, measured apart as
  in `benchmarks.secagg`; the rest is unmasking, messages, their signatures and the machines.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from benchmarks.peers.environment import PeerMissing, run_peer
from benchmarks.rig import machine
from benchmarks.secagg_parts import client_masking
from torch import Tensor, nn

from dreamshare import ArrayData, TorchLearner
from dreamshare.autodiff import (
    Argument,
    AutodiffConfig,
    Federation,
    Program,
    Result,
    SimulatedRounds,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.onnx.signatures import Argument as Shape
from dreamshare.learning.onnx.signatures import DataArray
from dreamshare.learning.programs import ProgramCall
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, SimulatedSession, SimulationOptions
from dreamshare.updates import Array

DRJAX = "drjax==0.2.1"
FEATURES, CLASSES = 784, 10
BITS = 16
Named = dict[str, Tensor]


def loss_of(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """The mean cross-entropy of a device's examples."""
    hidden_NH = torch.tanh(data["x"] @ arguments["w1"] + arguments["b1"])
    log_p_NK = (hidden_NH @ arguments["w2"] + arguments["b2"]).log_softmax(1)
    return {"loss": -log_p_NK.gather(1, data["y"][:, None]).mean()}


def shapes_of(hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the parameters' shapes by name."""
    return {
        "w1": (FEATURES, hidden),
        "b1": (hidden,),
        "w2": (hidden, CLASSES),
        "b2": (CLASSES,),
    }


def arrays_of(
    shapes: Mapping[str, tuple[int, ...]], agents: int, examples: int
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return the net, and every device's examples and classes."""
    rng = np.random.default_rng(0)
    net = {
        name: (rng.normal(0, 1, shape) / math.sqrt(FEATURES)).astype(np.float32)
        for name, shape in shapes.items()
    }
    x = rng.uniform(0, 1, (agents, examples, FEATURES)).astype(np.float32)
    return net, x, rng.integers(0, CLASSES, (agents, examples))


def source_of(shapes: Mapping[str, tuple[int, ...]]) -> ProgramSource:
    """Return the program as a device registers it."""
    return ProgramSource(
        "net/1",
        loss_of,
        tuple(Shape(name, shape, "float32") for name, shape in shapes.items()),
        (
            DataArray("x", ("N", FEATURES), "float32"),
            DataArray("y", ("N",), "int64", below=CLASSES),
        ),
    )


def terms_of(shapes: Mapping[str, tuple[int, ...]]) -> Program:
    """Return the program's terms."""
    return Program(
        "net/1",
        tuple(
            Argument(name, shape, "float32", bound=100.0, gradient=1.0)
            for name, shape in shapes.items()
        ),
        (Result("loss", (), "float32", bound=32.0),),
        ("value", "vjp"),
        wanted=(tuple(shapes),),
        bits=BITS,
    )


def measured(times: int, work: Callable[[], object]) -> float:
    """Return the median of its processor time, seconds; the first run does not count."""
    work()
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def run(asked: argparse.Namespace) -> dict[str, object]:
    """Return all figures."""
    torch.set_num_threads(1)
    shapes = shapes_of(asked.hidden)
    net, x, y = arrays_of(shapes, asked.agents, asked.examples)
    tensors = [torch.tensor(array) for array in net.values()]
    single_s, (loss, gradients) = single(asked, tensors, list(net), x, y)
    figures: dict[str, object] = {
        "machine": machine(),
        "agents": asked.agents,
        "parameters": sum(array.size for array in net.values()),
        "one_process_ms": round(1e3 * single_s, 2),
    }
    fed_s, parts, found = federated(asked, shapes, tensors, x, y)
    apart = max(float((a - b).abs().max()) for a, b in zip(found, gradients, strict=True))
    if apart > 2 * 1.0 / (2**BITS - 1):
        raise SystemExit(f"the federated gradient is off by {apart}")
    figures |= {
        "federated_ms": round(1e3 * fed_s, 1),
        "ratio_to_one_process": round(fed_s / single_s, 1),
        "federated_parts_ms": {name: round(1e3 * s, 1) for name, s in parts.items()},
    }
    if not asked.no_drjax:
        figures |= beside(asked, net, x, y, fed_s, float(loss), gradients)
    return figures


def single(
    asked: argparse.Namespace, tensors: list[Tensor], names: list[str], x: np.ndarray, y: np.ndarray
) -> tuple[float, tuple[Tensor, list[Tensor]]]:
    """Return seconds, mean loss and gradient by torch in one process."""
    datas = [{"x": torch.tensor(a), "y": torch.tensor(b)} for a, b in zip(x, y, strict=True)]

    def work() -> tuple[Tensor, list[Tensor]]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        total = torch.zeros(())
        for data in datas:
            part = loss_of(dict(zip(names, leaves, strict=True)), data, _no_net)["loss"]
            (part / len(datas)).backward()
            total += part.detach() / len(datas)
        return total, [leaf.grad for leaf in leaves if leaf.grad is not None]

    leaf = torch.ones((), requires_grad=True)
    torch.autograd.grad(leaf * leaf, leaf, torch.ones(()))  # torch imports what it needs only now
    return measured(asked.times, work), work()


def federated(
    asked: argparse.Namespace,
    shapes: dict[str, tuple[int, ...]],
    tensors: list[Tensor],
    x: np.ndarray,
    y: np.ndarray,
) -> tuple[float, dict[str, float], list[Tensor]]:
    """Return seconds of a round, where they go, and the mean gradient."""
    source, terms = source_of(shapes), terms_of(shapes)
    watch = Watch()
    devices = [
        SimulatedDevice(
            Timed(TorchLearner(nn.Flatten(), classes=CLASSES, programs=[source]), watch),
            ArrayData(x[i], y[i]),
        )
        for i in range(asked.agents)
    ]
    config, cohort = AutodiffConfig((terms,)), Cohort(least=asked.agents, most=asked.agents)
    patient = SimulationOptions(deadlines=Deadlines(600, 600, 600))
    times, computed = [], []
    with SimulatedSession(config, devices, cohort=cohort, options=patient) as session:
        fed = Federation(SimulatedRounds(session), config, cohort)
        both = fed.value_and_grad(lambda *net: fed.mean(terms, *net))
        for number in range(asked.times + 2):
            point = [t + 1e-6 * number for t in tensors]  # nothing is asked twice
            watch.seconds = 0.0
            began = time.process_time()
            _, gradient = both(*point)
            times.append(time.process_time() - began)
            computed.append(watch.seconds)
            if number == 0:
                first = list(gradient)
        round_s = statistics.median(times[2:])
        cost = fed.ledger[-1]
    compute_s = statistics.median(computed[2:])
    masking_s = masks(asked.agents, sum(math.prod(s) for s in shapes.values()))
    parts = {
        "set_up_once": times[0] - round_s,
        "compute": compute_s,
        "masks": masking_s,
        "rest": round_s - compute_s - masking_s,
    }
    print(f"a device sends {cost.up} and gets {cost.down} bytes of arrays", file=sys.stderr)
    return round_s, parts, first


def masks(agents: int, size: int) -> float:
    """Return seconds in which so many devices encode, mask and sign vectors of this size."""
    values = np.random.default_rng(1).uniform(-1, 1, size)
    seconds, _ = client_masking(values, 1.0, BITS, agents - 1, 3, agents)
    return agents * statistics.median(seconds)


class Watch:
    """Adds up seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0


class Timed:
    """A learner whose evaluations are timed."""

    def __init__(self, learner: TorchLearner, watch: Watch) -> None:
        self._learner = learner
        self._watch = watch
        self.classes = learner.classes

    def __getattr__(self, name: str) -> object:
        return getattr(self._learner, name)

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        """Evaluate, and note how long that took."""
        began = time.process_time()
        found = self._learner.evaluate(call, batch)
        self._watch.seconds += time.process_time() - began
        return found


def beside(
    asked: argparse.Namespace,
    net: Mapping[str, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    fed_s: float,
    loss: float,
    gradients: list[Tensor],
) -> dict[str, object]:
    """Return DrJAX's figures and the ratio to them; a line that says why where it is missing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, x=x, y=y, **net)
        try:
            found = run_peer(
                DRJAX, "drjax_gradient.py", {"arrays": str(path), "times": asked.times}
            )
        except PeerMissing as error:
            return {"drjax": f"not measured: {error}"}
    norm = math.sqrt(sum(float((gradient.double() ** 2).sum()) for gradient in gradients))
    theirs = {name: float(str(found[name])) for name in ("loss", "norm", "median_s", "compile_s")}
    if abs(theirs["loss"] - loss) > 1e-3 or abs(theirs["norm"] - norm) > 1e-2 * norm:
        raise SystemExit(f"DrJAX finds {found}, torch the loss {loss} and the norm {norm}")
    return {
        "drjax": found["version"],
        "jax": found["jax"],
        "drjax_ms": round(1e3 * theirs["median_s"], 2),
        "drjax_compile_ms": round(1e3 * theirs["compile_s"], 1),
        "ratio_to_drjax": round(fed_s / theirs["median_s"], 1),
    }


def _no_net(x: Tensor) -> Tensor:
    raise ConfigError("this program needs no net")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=125)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--no-drjax", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    print(json.dumps(run(asked), indent=None if asked.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
