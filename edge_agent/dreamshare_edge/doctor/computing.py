"""What computes and on what: the bundle, its memory, the data, the weights that are stored.

Rules:
- everything runs once, here, on the device's own machine: graphs at batches of 1 and 3, then the
  held-out examples;
- what needs memory is an estimate: the exporter's, of a graph's intermediate values, and weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dreamshare.errors import ConfigError
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.doctor.findings import Finding, Severity, error, ok, warning
from dreamshare_edge.doctor.memory import free_memory
from dreamshare_edge.equipment import Equipment, equipment_of
from dreamshare_edge.sealing import place_of_kept, seals_for
from dreamshare_edge.worker import WEIGHTS, unpacked

if TYPE_CHECKING:
    from dreamshare.learning.onnx.manifest import Manifest

USUAL_BATCH = 32
"""Examples of a training step, for which memory is estimated; a task may ask for others."""


def look_at_computing(config: AgentConfig) -> Iterator[Finding]:
    """Yield what is found of a bundle, then of learner and data, then of the stored weights."""
    well = True
    if config.learner.bundle is not None:
        found = list(_bundle(config, config.learner.bundle))
        yield from found
        well = all(each.severity < Severity.ERROR for each in found)
    if not well:
        return
    made = _made(config)
    if isinstance(made, Finding):
        yield made
        return
    yield _learner(config, made)
    stored = _stored(config, made)
    if stored is not None:
        yield stored


def _bundle(config: AgentConfig, path: Path) -> Iterator[Finding]:
    advice = "copy it again, or `dreamshare export` it anew"
    try:
        from dreamshare.learning.onnx.bundle import read_bundle
        from dreamshare.learning.onnx.trial import try_graphs
        from dreamshare_edge.bundled import examples_of, runtime_of
    except ModuleNotFoundError as missing:
        yield error("bundle", f"{missing.name} is missing", "pip install 'dreamshare[onnx]'")
        return
    try:
        runtime = runtime_of(config.learner, config.threads)
    except ConfigError as wrong:
        yield error("bundle", str(wrong), "mend learner.providers in the settings")
        return
    try:
        bundle = read_bundle(path)
        try_graphs(bundle, runtime)
    except ConfigError as wrong:
        yield error("bundle", f"{path}: {wrong}", advice)
        return
    manifest = bundle.manifest
    shape = " x ".join(map(str, manifest.shape))
    text = f"{manifest.name}: inputs of {shape}, {manifest.classes} classes; every graph runs"
    yield ok("bundle", text)
    yield _memory(manifest, len(bundle.to_bytes()), config.learner.memory_mb)
    try:
        data = examples_of(config.data, manifest, config.seed)
        data.held_out()
    except ConfigError as wrong:
        yield error("data", str(wrong), "mend [data] in the settings, or the examples")
        return
    yield ok("data", f"{len(data)} examples to learn from fit the bundle")


def _memory(manifest: Manifest, size: int, allowed_mb: int | None) -> Finding:
    """Return whether a training step fits into the budget and into what the machine has."""
    graphs = manifest.graphs.values()
    least, usual = (
        max(graph.fixed_bytes + count * graph.example_bytes for graph in graphs)
        for count in (2, USUAL_BATCH)
    )
    text = f"a step on {USUAL_BATCH} examples needs about {_mb(usual + size)} MB"
    if allowed_mb is not None and least > allowed_mb << 20:
        text = f"a step on 2 examples needs about {_mb(least)} MB; memory_mb allows {allowed_mb}"
        return error("memory", text, "allow more, or export a smaller model")
    if allowed_mb is not None and usual > allowed_mb << 20:
        advice = "tasks with such batches fail here; allow more, or ask for smaller batches"
        return warning("memory", f"{text}; memory_mb allows {allowed_mb}", advice)
    free = free_memory()
    if free is not None and usual + size > free:
        advice = "stop something, set learner.memory_mb, or export a smaller model"
        return warning("memory", f"{text}; {_mb(free)} MB are available", advice)
    return ok("memory", text)


def _made(config: AgentConfig) -> Equipment | Finding:
    name = config.learner.bundle or config.learner.factory
    try:
        return equipment_of(config)
    except ConfigError as wrong:
        return error("learner", str(wrong), "mend [learner] in the settings, or its bundle")
    except Exception as wrong:  # noqa: BLE001  the border to the app's factory: it is reported
        text = f"{name} fails: {type(wrong).__name__}: {wrong}"
        return error("learner", text, "mend the factory, its data or its bundle")


def _learner(config: AgentConfig, made: Equipment) -> Finding:
    try:
        accuracy, count = made.accuracy(), len(made.data)
    except Exception as wrong:  # noqa: BLE001  the border to the app's learner: it is reported
        text = f"its held-out examples cannot be classified: {type(wrong).__name__}: {wrong}"
        return error("learner", text, "do the data have the learner's shape and classes?")
    if not count:
        return error("learner", "there are no examples", "the factory has to find some")
    if accuracy is None:
        advice = "evaluate/1 and the device's own report need them"
        return warning("learner", "it loads, but nothing is held out", advice)
    return ok("learner", "it loads and classifies its held-out examples")


def _stored(config: AgentConfig, made: Equipment) -> Finding | None:
    """Return whether the weights in the store are this learner's; None without any."""
    path = config.store / "kept" / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError:
        return None  # none yet, or not to be read, which 'store' has said
    try:
        content = seals_for(config.identity).opened(place_of_kept(WEIGHTS), content)
        made.learner.restore(unpacked(content)[1])
    except ConfigError as wrong:
        advice = f"name the model they are of, or move {path} away to begin with the new one's"
        return error("weights", f"those in the store do not fit: {wrong}", advice)
    return ok("weights", "those in the store fit the learner")


def _mb(size: int) -> int:
    return -(-size >> 20)
