"""The graphs of a program: traced, translated, with the signature that the manifest keeps.

Rules:
- a result whose size depends on the batch is refused: answers of devices are summed;
- the net's weights that a program holds are external initialisers, as in "logits".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from dreamshare.learning.export.builder import Graph
from dreamshare.learning.export.functions import Named
from dreamshare.learning.export.graphs import (
    EXAMPLES,
    TABLE,
    Drawn,
    Outputs,
    Plan,
    finished,
    port_of,
)
from dreamshare.learning.export.program_functions import PureProgram
from dreamshare.learning.export.program_sources import ProgramSource
from dreamshare.learning.export.refusals import ExportError, first_line, fixed_batch
from dreamshare.learning.export.trace import Trace, trace
from dreamshare.learning.export.translation import DTYPES, Translation, Whole, dims_of
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.ports import Port
from dreamshare.learning.onnx.signatures import Argument, DataArray, Result, Signature, Transform

_TYPES = {name: dtype for dtype, name in DTYPES.items()}


def draw_program(plan: Plan, source: ProgramSource) -> tuple[Signature, list[Drawn]]:
    """Return a program's signature and its graphs, in the order of its transforms.

    Raises:
        ExportError: the function cannot be traced, or gives what cannot be summed.
    """
    pure = PureProgram.of(source, plan.net)
    asked = _signature(pure, [Result("unknown", ())])
    forward = _traced(pure, asked, "value")
    results = [_result(source, *each) for each in zip(forward.outputs, _ends(forward), strict=True)]
    signature = _signature(pure, results)
    drawn = []
    for transform in signature.transforms:
        traced = forward if transform == "value" else _traced(pure, signature, transform)
        drawn.append(_drawn(plan, pure, signature, transform, traced))
    return signature, drawn


def _signature(pure: PureProgram, results: Sequence[Result]) -> Signature:
    source = pure.source
    try:
        return Signature(
            source.name, pure.arguments, source.data, tuple(results), source.transforms
        )
    except BundleError as error:
        raise ExportError(str(error)) from None


def _traced(pure: PureProgram, signature: Signature, transform: Transform) -> Trace:
    ports = signature.inputs(transform)
    batched = [port.name for port in ports if port.shape[:1] == ("N",)]
    try:
        traced = trace(
            pure.transformed(transform), _examples(signature, ports), pure.state(), batched
        )
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"program {signature.name} cannot be traced for {transform}: {type(error).__name__}: "
            f"{first_line(error)}; use torch operations only, no Python branch on values"
        ) from error
    for name, node in zip(traced.inputs, traced.module.graph.nodes, strict=False):
        if name in batched and isinstance(dims_of(node)[0], int):
            raise fixed_batch(f"program {signature.name} ({transform})")
    return traced


def _examples(signature: Signature, ports: Sequence[Port]) -> Named:
    generator = torch.Generator().manual_seed(0)
    declared: dict[str, Argument | DataArray] = {
        **{f"argument/{each.name}": each for each in signature.arguments},
        **{f"data/{each.name}": each for each in signature.data},
    }
    found = {}
    for port in ports:
        shape = [EXAMPLES if size == "N" else int(size) for size in port.shape]
        values = torch.rand(shape, generator=generator)
        known = declared.get(port.name)
        if isinstance(known, Argument):
            values = known.low + (known.high - known.low) * values
        found[port.name] = values.to(_TYPES[port.dtype])
    return found


def _ends(traced: Trace) -> list[fx.Node]:
    (end,) = (node for node in traced.module.graph.nodes if node.op == "output")
    return list(end.args[0])


def _result(source: ProgramSource, name: str, node: fx.Node) -> Result:
    value: Tensor = node.meta["val"]
    own = name.partition("/")[2]
    sizes = [size for size in dims_of(node) if isinstance(size, int)]
    if len(sizes) < value.dim():
        raise ExportError(
            f"program {source.name}: the size of result {own!r} depends on the number of examples; "
            "sum over them"
        )
    try:
        return Result(own, tuple(sizes), DTYPES[value.dtype])
    except BundleError as error:
        raise ExportError(f"program {source.name}: {error}") from None


def _drawn(
    plan: Plan, pure: PureProgram, signature: Signature, transform: Transform, traced: Trace
) -> Drawn:
    graph = Graph()
    ports = signature.inputs(transform)
    for port in ports:
        graph.input(port.name, port.dtype, port.shape)
    weights = []
    for path, value in pure.state().items():
        name = port_of(plan, path)
        weights.append(graph.outside(name, DTYPES[value.dtype], tuple(value.shape)))
    batch = next((port.name for port in ports if port.shape[:1] == ("N",)), "")
    arguments = [
        port_of(plan, name[6:]) if name.startswith("state/") else name for name in traced.inputs
    ]
    whole = Whole(TABLE, f"program {signature.name}", batch, doubles=True)
    found = Translation(graph, whole).run(traced.module, arguments)
    values = dict(zip(traced.outputs, found, strict=True))
    outputs: Outputs = {
        port.name: (values[port.name], port.dtype, port.shape)
        for port in signature.outputs(transform)
    }
    return finished(signature.graph(transform), graph, ports, outputs, weights)
