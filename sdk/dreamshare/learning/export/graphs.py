"""The graphs of a bundle, from traced functions.

Shape legend: N batch, K classes.

Rules:
- graphs that classify or dream hold weights as external initialisers, so that onnxruntime folds
  them into its kernels; graphs that train take them as inputs;
- SGD and Adam are written here node by node, as `torch.optim` computes them; the gradient is traced
  once for all three training graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dreamshare.learning.export.builder import Graph
from dreamshare.learning.export.convolutions import CONVOLUTIONS
from dreamshare.learning.export.functions import Named, PureNet
from dreamshare.learning.export.indexing import INDEXING
from dreamshare.learning.export.memory import needed
from dreamshare.learning.export.operators import ARITHMETIC
from dreamshare.learning.export.pools import POOLS
from dreamshare.learning.export.shapes import SHAPES
from dreamshare.learning.export.trace import Trace, trace
from dreamshare.learning.export.translation import DTYPES, Operator, Translation, Whole
from dreamshare.learning.onnx.manifest import GraphEntry
from dreamshare.learning.onnx.ports import Port

BETAS = (0.9, 0.999)
EPSILON = 1e-8
EXAMPLES = 13
"""Size of the traced batch: no net has it as a size of its own."""

_BATCHED = ("x", "targets", "student", "cotangent", "label_weight", "entropy_weight")
TABLE: Mapping[str, Operator] = {**ARITHMETIC, **SHAPES, **CONVOLUTIONS, **POOLS, **INDEXING}


Outputs = dict[str, tuple[str, str, tuple[int | str, ...]]]
"""Name -> value in the graph, type, shape."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A graph and its entry, errors not yet measured."""

    entry: GraphEntry
    content: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is exported.

    Attributes:
        net: the pure net.
        shape: of one input.
        classes: K.
        where: what refusals call the net.
        places: (H, W) of its labels where it labels pixels.
        statistics: channels of what the graph "statistics" gives, by name; empty without it.
    """

    net: PureNet
    shape: tuple[int, ...]
    classes: int
    where: str
    places: tuple[int, ...] = ()
    statistics: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, net: PureNet, shape: tuple[int, ...], classes: int, where: str, places: tuple[int, ...]
    ) -> Plan:
        """Return a plan; the net is run once to see its features."""
        plan = cls(net, shape, classes, where, places)
        with torch.no_grad():
            found = net.described(plan.given("x"), net.parameters | net.buffers)
        return replace(plan, statistics={name: len(each) for name, each in found.items()})

    def given(self, *names: str) -> Named:
        """Return example arguments."""
        generator = torch.Generator().manual_seed(0)
        labels = (EXAMPLES, *self.places)
        wide = (*labels, self.classes)
        sizes: dict[str, tuple[int, ...]] = {
            "x": (EXAMPLES, *self.shape),
            "targets": wide,
            "student": wide,
            "cotangent": wide,
            "label_weight": labels,
            "entropy_weight": labels,
            "log_prior": (self.classes,),
            **{name: (channels,) for name, channels in self.statistics.items()},
        }
        return {name: torch.rand(sizes.get(name, ()), generator=generator) for name in names}


def draw_logits(plan: Plan) -> Drawn:
    """Return the graph "logits"."""
    return _bound(plan, "logits", plan.net.classified, ("x",))


def draw_dreams(plan: Plan) -> Drawn:
    """Return the graph "dream_grad"."""
    names = (
        "x",
        "targets",
        "student",
        "cotangent",
        "label_weight",
        "entropy_weight",
        "feature_weight",
        "diversity",
        "adversarial",
        *plan.statistics,
    )
    return _bound(plan, "dream_grad", plan.net.dreamt, names)


def draw_statistics(plan: Plan) -> Drawn:
    """Return the graph "statistics" of a net that compares with its own data's."""
    return _bound(plan, "statistics", plan.net.described, ("x",))


def trace_learning(plan: Plan) -> Trace:
    """Trace the gradient that all training graphs share."""
    given = plan.given("x", "targets", "log_prior", "temperature", "weight", "batch", "track")
    return trace(plan.net.learnt, given, _state(plan), _BATCHED, plan.where)


def draw_training(plan: Plan, traced: Trace, kind: str) -> Drawn:
    """Return the graph "gradients", "train_sgd" or "train_adam"."""
    graph = Graph()
    inputs = _declare(plan, graph, [n for n in traced.inputs if not n.startswith("state/")])
    state = {
        **{f"P/{n}": v for n, v in plan.net.parameters.items()},
        **{f"B/{n}": v for n, v in plan.net.buffers.items()},
    }
    inputs += [_input(graph, name, value) for name, value in state.items()]
    names = list(plan.net.parameters)
    inputs += [_input(graph, f"G/{n}", plan.net.parameters[n]) for n in names]
    arguments = [_argument(plan, n) for n in traced.inputs]
    found = dict(zip(traced.outputs, _translate(plan, graph, traced, arguments), strict=True))
    outputs: Outputs = {"loss": (found["loss"], "float32", ())}
    total = {n: graph.op("Add", found[f"G/{n}"], f"G/{n}") for n in names}
    for name, value in state.items():
        if name.startswith("B/") and name in found:
            outputs[f"B_/{name[2:]}"] = (found[name], DTYPES[value.dtype], tuple(value.shape))
    if kind == "gradients":
        new = {"G_": total}
    else:
        extra = {
            "train_sgd": ("rate", "momentum", "decay"),
            "train_adam": ("rate", "correction", "decay"),
        }[kind]
        inputs += [_input(graph, name, torch.zeros(())) for name in extra]
        groups = ("M", "V") if kind == "train_adam" else ("M",)
        inputs += [_input(graph, f"{g}/{n}", plan.net.parameters[n]) for g in groups for n in names]
        step = _adam if kind == "train_adam" else _sgd
        new = step(graph, total)
    for group, values in new.items():
        for name, moved in values.items():
            outputs[f"{group}/{name}"] = (moved, "float32", tuple(plan.net.parameters[name].shape))
    return finished(kind, graph, inputs, outputs, ())


def _sgd(g: Graph, total: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Momentum without dampening: m' = momentum * m + g, p' = p - rate * m'."""
    parameters, moments = {}, {}
    for name, gradient in total.items():
        decayed = g.op("Add", gradient, g.op("Mul", f"P/{name}", "decay"))
        moments[name] = g.op("Add", g.op("Mul", f"M/{name}", "momentum"), decayed)
        parameters[name] = g.op("Sub", f"P/{name}", g.op("Mul", moments[name], "rate"))
    return {"P_": parameters, "M_": moments}


def _adam(g: Graph, total: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """`rate` and `correction` hold the bias corrections (`dreamshare.learning.onnx.training`)."""
    parameters, firsts, seconds = {}, {}, {}
    for name, gradient in total.items():
        decayed = g.op("Add", gradient, g.op("Mul", f"P/{name}", "decay"))
        firsts[name] = _blend(g, f"M/{name}", decayed, BETAS[0])
        seconds[name] = _blend(g, f"V/{name}", g.op("Mul", decayed, decayed), BETAS[1])
        root = g.op("Mul", g.op("Sqrt", seconds[name]), "correction")
        step = g.op("Div", firsts[name], g.op("Add", root, g.floats(EPSILON)))
        parameters[name] = g.op("Sub", f"P/{name}", g.op("Mul", step, "rate"))
    return {"P_": parameters, "M_": firsts, "V_": seconds}


def _blend(g: Graph, old: str, new: str, share: float) -> str:
    kept = g.op("Mul", old, g.floats(share))
    return g.op("Add", kept, g.op("Mul", new, g.floats(1.0 - share)))


def _bound(
    plan: Plan,
    name: str,
    function: Callable[[Named, Named], Named],
    names: Sequence[str],
) -> Drawn:
    """Return a graph whose weights are external initialisers."""
    traced = trace(function, plan.given(*names), _state(plan), _BATCHED, plan.where)
    graph = Graph()
    inputs = _declare(plan, graph, names)
    for path, value in _state(plan).items():
        graph.outside(port_of(plan, path), DTYPES[value.dtype], tuple(value.shape))
    found = _translate(plan, graph, traced, [_argument(plan, n) for n in traced.inputs])
    outputs: Outputs = {}
    for output, name_of in zip(traced.outputs, found, strict=True):
        outputs[output] = (name_of, "float32", _output_shape(plan, output))
    weights = [port_of(plan, path) for path in _state(plan)]
    return finished(name, graph, inputs, outputs, weights)


def _output_shape(plan: Plan, name: str) -> tuple[int | str, ...]:
    match name:
        case "gradient":
            return ("N", *plan.shape)
        case "logits" | "student_cotangent":
            return ("N", *plan.places, plan.classes)
        case "wrong" | "entropy":
            return ("N", *plan.places)
    return (plan.statistics[name],) if name in plan.statistics else ()


def _translate(plan: Plan, graph: Graph, traced: Trace, arguments: Sequence[str]) -> list[str]:
    return Translation(graph, Whole(TABLE, plan.where)).run(traced.module, arguments)


def finished(
    name: str,
    graph: Graph,
    inputs: Sequence[Port],
    outputs: Outputs,
    weights: Sequence[str],
) -> Drawn:
    """Return a graph with its entry; of `weights` those that it uses."""
    content = graph.model(outputs)
    ports = tuple(Port(n, dtype, tuple(shape)) for n, (_, dtype, shape) in outputs.items())
    used = tuple(w for w in weights if w in graph.used_outside)
    need = needed(content)
    entry = GraphEntry(
        name,
        f"{name.replace('/', '-')}.onnx",
        tuple(inputs),
        ports,
        used,
        fixed_bytes=need.fixed,
        example_bytes=need.example,
    )
    return Drawn(entry, content)


def _declare(plan: Plan, graph: Graph, names: Sequence[str]) -> list[Port]:
    ports = []
    for name, value in plan.given(*names).items():
        shape = tuple(value.shape)
        free: tuple[int | str, ...] = ("N", *shape[1:]) if name in _BATCHED else shape
        graph.input(name, "float32", free)
        ports.append(Port(name, "float32", free))
    return ports


def _input(graph: Graph, name: str, value: Tensor) -> Port:
    dtype, shape = DTYPES[value.dtype], tuple(value.shape)
    graph.input(name, dtype, shape)
    return Port(name, dtype, shape)


def _state(plan: Plan) -> Named:
    return plan.net.parameters | plan.net.buffers


def port_of(plan: Plan, path: str) -> str:
    """Return the port of a name of the net's state."""
    return f"P/{path}" if path in plan.net.parameters else f"B/{path}"


def _argument(plan: Plan, name: str) -> str:
    return port_of(plan, name[6:]) if name.startswith("state/") else name
