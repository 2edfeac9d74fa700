"""How onnxruntime runs a graph: threads, memory, accelerators.

Rules:
- no thread spins between runs: an idle device is idle;
- onnxruntime is imported when the first graph is opened: an agent that waits for its first round
  does not hold its 20 MB. Whether it is installed is looked at when this module is imported;
- an execution provider is asked for by name; one that this onnxruntime does not have is an error,
  one that cannot start here (no driver, no card) is a warning and the CPU goes on;
- nothing is computed elsewhere: a provider that sends inputs over a network is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.inspection import check_weights, inspect_graph
from dreamshare.learning.onnx.manifest import GraphEntry
from dreamshare.learning.onnx.tensors import Arrays

if TYPE_CHECKING:
    import onnxruntime

if find_spec("onnxruntime") is None:  # said now, and not in the middle of a round
    raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

_TYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "int64": "tensor(int64)",
    "bool": "tensor(bool)",
}
CPU = "CPUExecutionProvider"
_REMOTE = frozenset({"AzureExecutionProvider"})
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """How graphs are run.

    Attributes:
        threads: compute threads of one graph, >= 1.
        arena: keep freed memory for the next run; faster, and holds the peak for good.
        providers: execution providers in order of preference; the CPU comes last by itself.
        memory_mb: most memory of a run's intermediate values, as the exporter estimated them; None
            sets no bound. Classifying takes smaller batches then; a batch of dreams or of training
            that needs more is refused, because BatchNorm makes it one.
    """

    threads: int = 1
    arena: bool = False
    providers: tuple[str, ...] = (CPU,)
    memory_mb: int | None = None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise BundleError(f"threads is {self.threads}; use 1 or more")
        if self.memory_mb is not None and self.memory_mb < 1:
            raise BundleError(f"memory_mb is {self.memory_mb}; use 1 or more, or leave it out")
        accelerators = {*self.providers} - {CPU}
        unknown = sorted(accelerators - {*local_providers()}) if accelerators else []
        if unknown:
            raise BundleError(
                f"onnxruntime has no execution provider {unknown[0]} here; "
                f"it has {', '.join(local_providers())}"
            )

    @classmethod
    def accelerated(cls, threads: int = 1, memory_mb: int | None = None) -> Self:
        """Return the settings that use every accelerator this onnxruntime was built for."""
        return cls(threads, providers=local_providers(), memory_mb=memory_mb)

    def most_examples(self, entry: GraphEntry) -> int:
        """Return how many examples of a graph fit into the budget; raises BundleError for none."""
        if self.memory_mb is None or entry.example_bytes == 0:
            return 1 << 30
        self.check(entry, 1)
        return ((self.memory_mb << 20) - entry.fixed_bytes) // entry.example_bytes

    def check(self, entry: GraphEntry, examples: int) -> None:
        """Return when a batch fits into the budget; raises BundleError."""
        need = entry.fixed_bytes + examples * entry.example_bytes
        if self.memory_mb is not None and need > self.memory_mb << 20:
            raise BundleError(
                f"graph {entry.name} needs about {-(-need >> 20)} MB for a batch of {examples}; "
                f"memory_mb allows {self.memory_mb}: use a smaller batch or allow more"
            )


class Program:
    """A graph that is ready to run."""

    def __init__(self, session: onnxruntime.InferenceSession, entry: GraphEntry) -> None:
        self._session = session
        self.entry = entry

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Return every output by name.

        Raises:
            BundleError: an input is missing or does not fit.
        """
        missing = {port.name for port in self.entry.inputs} - feeds.keys()
        if missing:
            raise BundleError(f"graph {self.entry.name} lacks its inputs {sorted(missing)[:4]}")
        given = {port.name: feeds[port.name] for port in self.entry.inputs}
        names = [port.name for port in self.entry.outputs]
        try:
            found = self._session.run(names, given)
        except Exception as error:  # noqa: BLE001 - onnxruntime has no public root of its errors
            raise BundleError(f"graph {self.entry.name} failed: {_first_line(error)}") from None
        return dict(zip(names, found, strict=True))


def open_program(
    entry: GraphEntry,
    content: bytes,
    weights: Mapping[str, NDArray[np.generic]],
    runtime: Runtime,
) -> Program:
    """Return a graph as a program, `weights` bound to it by their ports' names.

    Raises:
        BundleError: the graph or a weight is not what it should be, or onnxruntime refuses it.
    """
    check_weights(entry, inspect_graph(entry, content), weights)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = runtime.arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers = [name for name in runtime.providers if name != CPU]
    try:
        if weights:
            arrays = [np.asarray(array, order="C") for array in weights.values()]
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
            options.add_external_initializers(list(weights), values)
        session = onnxruntime.InferenceSession(content, options, providers=[*providers, CPU])
    except Exception as error:  # noqa: BLE001 - onnxruntime has no public root of its errors
        raise BundleError(f"onnxruntime refuses graph {entry.name}: {_first_line(error)}") from None
    _check_ports(entry, session)
    idle = sorted({*providers} - {*session.get_providers()})
    if idle:
        _LOG.warning("%s cannot start here; graph %s runs on the CPU", idle[0], entry.name)
    return Program(session, entry)


def _check_ports(entry: GraphEntry, session: onnxruntime.InferenceSession) -> None:
    taken = [(port.name, port.type, tuple(port.shape)) for port in session.get_inputs()]
    given = [(port.name, port.type) for port in session.get_outputs()]
    if taken != [(port.name, _TYPES[port.dtype], port.shape) for port in entry.inputs] or given != [
        (port.name, _TYPES[port.dtype]) for port in entry.outputs
    ]:
        raise BundleError(
            f"graph {entry.name} has other inputs or outputs than its manifest says; export the "
            "model again"
        )


def local_providers() -> tuple[str, ...]:
    """Return the execution providers of this onnxruntime that compute on this machine."""
    import onnxruntime

    return tuple(n for n in onnxruntime.get_available_providers() if n not in _REMOTE)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
