"""From a net to a bundle: trace, translate, check, pack.

Rules:
- a graph that fails its check is not written: the error names it and says what to do;
- progress is told by name, one line for each thing that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

from torch import nn

from dreamshare.learning.export.check import check_bundle
from dreamshare.learning.export.functions import PureNet
from dreamshare.learning.export.graphs import (
    Drawn,
    Plan,
    draw_dreams,
    draw_logits,
    draw_statistics,
    draw_training,
    trace_learning,
)
from dreamshare.learning.export.inspection import inspect_net
from dreamshare.learning.export.program_check import check_program
from dreamshare.learning.export.program_graphs import draw_program
from dreamshare.learning.export.program_sources import ProgramSource
from dreamshare.learning.export.quantized import quantized_forward
from dreamshare.learning.export.refusals import ExportError
from dreamshare.learning.export.versions import check_versions
from dreamshare.learning.onnx.bundle import WEIGHTS, Bundle, identity_of, member_of, packed_weights
from dreamshare.learning.onnx.manifest import GraphEntry, Manifest, Normalisation
from dreamshare.learning.onnx.signatures import MAX_PROGRAMS, Signature
from dreamshare.learning.torch.dreaming import batch_norms

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How a net is exported.

    Attributes:
        name: of the model, for people.
        normalisation: of raw values, kept for the device.
        quantize: add the graph "logits_int8".
        batches: fresh batches of the self-check of each graph, >= 1.
        programs: for federated automatic differentiation, each of its own name.
    """

    name: str = "model"
    normalisation: Normalisation = Normalisation()
    quantize: bool = False
    batches: int = 5
    programs: tuple[ProgramSource, ...] = ()

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise ExportError(f"batches is {self.batches}; the self-check needs 1 or more")
        names = {each.name for each in self.programs}
        if len(names) < len(self.programs) or len(names) > MAX_PROGRAMS:
            raise ExportError(
                f"{len(self.programs)} programs; a bundle takes {MAX_PROGRAMS}, each of its own "
                "name and version"
            )


def compile(  # noqa: A001 - the verb of the package, always read behind its name
    net: nn.Module,
    shape: tuple[int, ...],
    *,
    classes: int,
    settings: ExportSettings = ExportSettings(),
    progress: Progress = lambda _: None,
) -> Bundle:
    """Return the bundle of `net`, whose state is not changed.

    Args:
        net: takes float32 (N, *shape), returns logits (N, classes) or, of the pixels of a shape
            (C, H, W), (N, classes, H, W).
        shape: of one input, without the batch.
        classes: K >= 2.
        settings: names and the extent of the check.
        progress: told what begins.

    Raises:
        ExportError: a net of another form (`inspection`), an operator without translation, a fixed
            batch, an untested torch, or a graph that differs from torch by more than rounding.
    """
    check_versions()
    if classes < 2 or not shape or min(shape) < 1:
        raise ExportError(f"shape {shape} and {classes} classes: sizes >= 1 and at least 2 classes")
    places = inspect_net(net, shape, classes)
    plan = Plan.of(PureNet.of(net), shape, classes, type(net).__name__, places)
    progress("logits")
    drawn = [draw_logits(plan)]
    progress("dream gradient")
    drawn.append(draw_dreams(plan))
    if plan.statistics:
        progress("feature statistics")
        drawn.append(draw_statistics(plan))
    progress("training gradient")
    traced = trace_learning(plan)
    drawn += [draw_training(plan, traced, k) for k in ("gradients", "train_sgd", "train_adam")]
    programs: dict[str, Signature] = {}
    for source in settings.programs:
        progress(f"program {source.name}")
        programs[source.name], graphs = draw_program(plan, source)
        drawn += graphs
    unchecked = _packed(plan, drawn, programs, {}, settings, net)
    if settings.quantize:
        progress("8-bit forward graph")
        drawn.append(_quantized(plan, drawn[0]))
        unchecked = _packed(plan, drawn, programs, {}, settings, net)
    progress("self-check against torch")
    errors = check_bundle(unchecked, net, settings.batches)
    for source in settings.programs:
        errors |= check_program(unchecked, net, source, settings.batches)
    return _packed(plan, drawn, programs, errors, settings, net)


def _quantized(plan: Plan, forward: Drawn) -> Drawn:
    state = {**plan.net.parameters, **plan.net.buffers}
    weights = {port: state[port.partition("/")[2]].numpy() for port in forward.entry.weights}
    entry = replace(forward.entry, name="logits_int8", member="logits_int8.onnx", weights=())
    return Drawn(entry, quantized_forward(forward.content, weights))


def _packed(
    plan: Plan,
    drawn: list[Drawn],
    programs: Mapping[str, Signature],
    errors: dict[str, tuple[float, float]],
    settings: ExportSettings,
    net: nn.Module,
) -> Bundle:
    weights = {n: v.numpy() for n, v in {**plan.net.parameters, **plan.net.buffers}.items()}
    members = {each.entry.member: each.content for each in drawn}
    members[WEIGHTS] = packed_weights(weights)
    graphs: dict[str, GraphEntry] = {}
    for each in drawn:
        ours, torchs = errors.get(each.entry.name, (0.0, 0.0))
        graphs[each.entry.name] = replace(each.entry, error=ours, torch_error=torchs)
    manifest = Manifest(
        model=identity_of(members),
        name=settings.name,
        shape=plan.shape,
        classes=plan.classes,
        places=plan.places,
        parameters=tuple(plan.net.parameters),
        buffers=tuple(plan.net.buffers),
        state=tuple(name for name in net.state_dict() if name in weights),
        statistics=len(batch_norms(net)),
        normalisation=settings.normalisation,
        torch=version("torch"),
        exporter=version("dreamshare"),
        graphs=graphs,
        members={name: member_of(content) for name, content in members.items()},
        programs=programs,
    )
    return Bundle(manifest, members)
