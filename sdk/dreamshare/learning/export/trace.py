"""Tracing a pure function of named tensors into a graph of ATen operators, batch symbolic.

Rules:
- only the first dimension of the batched arguments is symbolic; parameters keep their sizes;
- FakeTensorMode, ShapeEnv and ConstantSource are semi-private in torch: they are used here and
  nowhere else, and `versions` refuses a torch that was not tested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, get_decompositions
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
    StatelessSymbolicContext,
)
from torch.nn.attention import SDPBackend, sdpa_kernel

from dreamshare.learning.export.decompositions import OWN
from dreamshare.learning.export.refusals import (
    ExportError,
    depends_on_values,
    fixed_batch,
    untraceable,
)

aten = torch.ops.aten

_WHOLE = (
    aten.var_mean.correction,
    aten.convolution_backward.default,
    aten.max_pool2d_with_indices.default,
    aten.max_pool2d_with_indices_backward.default,
    aten.avg_pool2d_backward.default,
    aten._adaptive_avg_pool2d.default,
    aten._adaptive_avg_pool2d_backward.default,
    aten._softmax.default,
    aten._log_softmax.default,
    aten.gelu.default,
    aten.silu.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.hardtanh.default,
    aten.native_layer_norm.default,
    aten.addmm.default,
    aten.embedding.default,
)
"""Operators that `operators` and its neighbours translate themselves."""

_TAKEN_APART = (
    aten._log_softmax_backward_data,
    aten._softmax_backward_data,
    aten.gelu_backward,
    aten.silu_backward,
    aten.elu,
    aten.elu_backward,
    aten.hardswish_backward,
    aten.hardsigmoid_backward,
    aten.hardtanh_backward,
    aten.threshold_backward,
    aten.leaky_relu,
    aten.leaky_relu_backward,
    aten.sigmoid_backward,
    aten.tanh_backward,
    aten.softplus,
    aten.softplus_backward,
    aten.native_layer_norm_backward,
    aten.native_group_norm,
    aten.native_group_norm_backward,
    aten.select_backward,
    aten.slice_backward,
    aten.linalg_vector_norm,
    aten.masked_fill,
    aten.mse_loss,
    aten.stack,
    aten.addcmul,
    aten.addcdiv,
    aten.baddbmm,
    aten.unbind,
    aten.chunk,
    aten.rsub,
    aten.mish,
    aten.mish_backward,
    aten.log_sigmoid_forward,
    aten.log_sigmoid_backward,
    aten._native_batch_norm_legit,
    aten.native_batch_norm_backward,
)

Traced = Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Trace:
    """A traced function.

    Attributes:
        module: its graph; placeholders in the order of `inputs`, outputs in that of `outputs`.
        inputs: names of the arguments: "x", ..., then "state/" names.
        outputs: names of the results.
    """

    module: fx.GraphModule
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def trace(
    function: Traced,
    given: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    batched: Collection[str],
    where: str = "the net",
) -> Trace:
    """Trace `function(given, state)`; the first dimension of `batched` arguments is symbolic.

    Raises:
        ExportError: the function looks at values, fixes the batch, or fails while it is traced;
            `where` is what the text calls it.
    """
    names = [*given, *(f"state/{name}" for name in state)]
    outputs: list[str] = []

    def flat(*arguments: Tensor) -> list[Tensor]:
        split = len(given)
        result = function(
            dict(zip(given, arguments[:split], strict=True)),
            dict(zip(state, arguments[split:], strict=True)),
        )
        outputs[:] = list(result)
        return list(result.values())

    sizes = ShapeEnv()
    fakes = FakeTensorMode(shape_env=sizes, allow_non_fake_inputs=True)
    arguments: list[Tensor] = []
    for name, value in zip(names, [*given.values(), *state.values()], strict=True):
        free = [name in batched and axis == 0 for axis in range(value.dim())]
        # One symbol for all: duck-shaped sizes that are equal share theirs.
        arguments.append(
            fakes.from_tensor(
                value.detach(),
                source=ConstantSource(f"a{len(arguments)}"),
                symbolic_context=StatelessSymbolicContext(
                    dynamic_sizes=[DimDynamic.DUCK if f else DimDynamic.STATIC for f in free],
                    constraint_sizes=[None] * value.dim(),
                ),
            )
        )
    table = dict(core_aten_decompositions()) | get_decompositions(_TAKEN_APART) | dict(OWN)
    for whole in _WHOLE:
        table.pop(whole, None)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            module = make_fx(
                flat,
                decomposition_table=table,
                tracing_mode="symbolic",
                _allow_non_fake_inputs=True,
            )(*arguments)
    except ExportError:
        raise
    except GuardOnDataDependentSymNode:
        raise depends_on_values(where) from None
    except Exception as error:
        raise untraceable(where, error) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    if any(guard.expr.is_Relational and guard.expr.rel_op == "==" for guard in sizes.guards):
        raise fixed_batch(where)
    module.graph.eliminate_dead_code()
    module.recompile()
    return Trace(module, tuple(names), tuple(outputs))
