"""Programs against torch itself, on fresh data, before a bundle is written.

Rules:
- the judge is the user's function over the net as it is, in float64, differentiated by
  `torch.autograd.functional`: neither the pure net nor what was traced;
- the same function with the types that the program declares says what rounding alone costs;
- errors are relative to the largest value of their group (values, gradients, ...): a large loss
  hides no wrong gradient;
- a kernel that onnxruntime lacks for float64 is refused by its operator's name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dreamshare.learning.export.check import FLOOR
from dreamshare.learning.export.comparing import FACTOR
from dreamshare.learning.export.functions import Named
from dreamshare.learning.export.program_functions import named_results
from dreamshare.learning.export.program_sources import ProgramSource
from dreamshare.learning.export.refusals import ExportError, first_line, not_any_batch, unsupported
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.runtime import Program
from dreamshare.learning.onnx.signatures import Argument, DataArray, Signature, Transform

DOUBLE_FLOOR = 1e-12
"""An error that no graph of float64 is refused for."""
SIZES = (1, 5, 32)

Arrays = dict[str, NDArray[np.generic]]
Wide = dict[str, NDArray[np.float64]]


def check_program(
    bundle: Bundle, net: nn.Module, source: ProgramSource, batches: int
) -> dict[str, tuple[float, float]]:
    """Return the median errors (graph, torch) of a program's graphs.

    Raises:
        ExportError: a graph differs from torch by more than rounding, or does not run.
    """
    signature = bundle.manifest.programs[source.name]
    found = {}
    for transform in signature.transforms:
        graph = signature.graph(transform)
        program = _opened(bundle, graph)
        floor = DOUBLE_FLOOR if _is_double(program) else FLOOR
        for size in SIZES:
            ours, theirs = [], []
            for number in range(batches):
                feeds = draw(signature, transform, np.random.default_rng([2, number, size]), size)
                try:
                    given = program.run(feeds)
                except BundleError as error:
                    raise not_any_batch(f"program {source.name}", size, str(error)) from None
                exact = reference(source, net, feeds, transform, double=True)
                plain = reference(source, net, feeds, transform, double=False)
                ours.append(_distance({n: a.astype(np.float64) for n, a in given.items()}, exact))
                theirs.append(_distance(plain, exact))
            errors = (median(ours), median(theirs))
            if not np.isfinite(ours).all() or errors[0] > max(FACTOR * errors[1], floor):
                raise ExportError(
                    f"graph {graph} differs from torch with {size} examples: median error "
                    f"{errors[0]:.1e}, torch's own {errors[1]:.1e}; nothing was written. Is the "
                    "function pure, and does no Python branch look at the number of examples?"
                )
            found[graph] = errors
    return found


def draw(signature: Signature, transform: Transform, rng: np.random.Generator, size: int) -> Arrays:
    """Return random inputs of a graph, by port."""
    declared: dict[str, Argument | DataArray] = {
        **{f"argument/{each.name}": each for each in signature.arguments},
        **{f"data/{each.name}": each for each in signature.data},
    }
    found: Arrays = {}
    for port in signature.inputs(transform):
        shape = tuple(size if each == "N" else int(each) for each in port.shape)
        values: NDArray[np.generic]
        match declared.get(port.name):
            case Argument(low=low, high=high):
                values = rng.uniform(low, high, shape)
            case DataArray(dtype="int64" | "bool", below=below):
                values = rng.integers(0, below or 2, shape)
            case _:
                values = rng.standard_normal(shape)
        found[port.name] = np.asarray(values, port.dtype)
    return found


def reference(
    source: ProgramSource, net: nn.Module, feeds: Arrays, transform: Transform, *, double: bool
) -> Wide:
    """Return what torch computes, in float64 or with the declared types."""
    given = {name: _tensor(array, double) for name, array in feeds.items()}
    copied = copy.deepcopy(net).to("cpu", torch.float64 if double else torch.float32).eval()
    if source.parameters == "float64":
        copied = copied.double()
    leaves, data, cotangents, tangents = (
        {n.partition("/")[2]: v for n, v in given.items() if n.startswith(f"{group}/")}
        for group in ("argument", "data", "cotangent", "tangent")
    )
    names: list[str] = []

    def results(*values: Tensor) -> tuple[Tensor, ...]:
        arguments = dict(zip(leaves, values, strict=True))
        state = {n[2:]: v for n, v in arguments.items() if n.startswith("P/")}

        def classify(x: Tensor) -> Tensor:
            logits: Tensor = torch.func.functional_call(
                copied, state, (x.double() if double else x,)
            )
            return logits

        own = {n: v for n, v in arguments.items() if not n.startswith("P/")}
        found = named_results(source, source.function(own, data, classify))
        names[:] = list(found)
        return tuple(found.values())

    try:
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
            return _transformed(results, transform, names, leaves, cotangents, tangents)
    except RuntimeError as error:
        raise ExportError(
            f"program {source.name}: torch itself has no {transform} of it: {first_line(error)}"
        ) from error


def _transformed(
    results: Callable[..., tuple[Tensor, ...]],
    transform: Transform,
    names: list[str],
    leaves: Named,
    cotangents: Named,
    tangents: Named,
) -> Wide:
    point, along = tuple(leaves.values()), tuple(tangents.values())

    def pulled(*values: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        right = tuple(
            cotangents[name].to(each) for name, each in zip(names, results(*values), strict=True)
        )
        found: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
        found = functional.vjp(results, values, right, create_graph=True)  # type: ignore[no-untyped-call]
        return found

    values = tuple(each.detach() for each in results(*point))
    match transform:
        case "value":
            return _wide("value", names, values)
        case "vjp":
            return _wide("value", names, values) | _wide("gradient", leaves, pulled(*point)[1])
        case "jvp":
            pushed = functional.jvp(results, point, along)[1]  # type: ignore[no-untyped-call]
            return _wide("value", names, values) | _wide("pushed", names, pushed)
        case "hvp":
            gradients, products = functional.jvp(lambda *v: pulled(*v)[1], point, along)  # type: ignore[no-untyped-call]
            return _wide("gradient", leaves, gradients) | _wide("product", leaves, products)


def _opened(bundle: Bundle, graph: str) -> Program:
    try:
        return bundle.open(graph, bundle.weights())
    except BundleError as error:
        lacking = re.search(r"implementation for (\w+)\(", str(error))
        if lacking is None:
            raise
        raise unsupported(
            f"{lacking[1]} of float64",
            f"graph {graph}",
            "onnxruntime has no such kernel: give this part of the function float32 values "
            "(`.float()`), and its results `.double()`",
        ) from None


def _is_double(program: Program) -> bool:
    ports = (*program.entry.inputs, *program.entry.outputs)
    return not program.entry.weights and all(port.dtype != "float32" for port in ports)


def _tensor(array: NDArray[np.generic], double: bool) -> Tensor:
    value: Tensor = torch.tensor(array)
    return value.double() if double and value.is_floating_point() else value


def _wide(group: str, names: Iterable[str], values: Iterable[Tensor]) -> Wide:
    return {
        f"{group}/{name}": value.detach().double().numpy()
        for name, value in zip(names, values, strict=True)
    }


def _distance(values: Wide, right: Wide) -> float:
    """Return the largest error, relative to the largest value of its group."""
    worst = 0.0
    for group in {name.partition("/")[0] for name in right}:
        names = [name for name in right if name.startswith(f"{group}/")]
        scale = max(float(np.abs(right[n]).max(initial=0.0)) for n in names)
        error = max(float(np.abs(values[n] - right[n]).max(initial=0.0)) for n in names)
        worst = max(worst, error / scale if scale > 0 else error)
    return worst
