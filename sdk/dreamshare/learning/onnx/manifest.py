"""What a bundle says of itself: `manifest.json` as frozen values.

Rules:
- `FORMAT` is the version of the whole bundle; a reader refuses every other;
- every member of the file but the manifest is listed with size and SHA-256.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.fields import listed, number, text, whole
from dreamshare.learning.onnx.ports import STATISTICS, Port
from dreamshare.learning.onnx.signatures import MAX_PROGRAMS, Signature, signature_from

FORMAT = 1
OPSET = 18
MAX_MANIFEST = 4 << 20


@dataclass(frozen=True, slots=True)
class GraphEntry:
    """One graph.

    Attributes:
        name: "logits", "dream_grad", "statistics", "gradients", "train_sgd", "train_adam".
        member: its file in the bundle.
        inputs: in order.
        outputs: in order.
        weights: what a session must be given when it is made ("P/..." and "B/..."): these are
            external initialisers, not inputs. Empty for graphs that train.
        error: median error against torch in float64, relative to the largest value.
        torch_error: the same of torch in float32.
        fixed_bytes: estimated memory of a run's intermediate values, whatever the batch.
        example_bytes: what each example of the batch adds.
    """

    name: str
    member: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: tuple[str, ...]
    error: float = 0.0
    torch_error: float = 0.0
    fixed_bytes: int = 0
    example_bytes: int = 0

    def __post_init__(self) -> None:
        if self.fixed_bytes < 0 or self.example_bytes < 0:
            raise BundleError(f"graph {self.name} has no valid need of memory")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.sha256) != 64:
            raise BundleError("a member of the bundle has no valid size and SHA-256")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(raw - mean) / deviation for each channel gives the model's input; empty: nothing to do."""

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation):
            raise BundleError("normalisation needs one mean and one deviation for each channel")
        if not all(math.isfinite(m) for m in self.mean) or not all(
            math.isfinite(d) and d > 0 for d in self.deviation
        ):
            raise BundleError("normalisation needs finite means and deviations > 0")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        model: SHA-256 of what was exported, hexadecimal: equal ids, equal graphs and weights.
        name: for people.
        shape: of one input, without the batch.
        classes: K.
        places: (H, W) of its labels where the model labels pixels, else empty and left out: graphs
            have them after N, and the classes last.
        parameters: names of trainable parameters, in the net's order.
        buffers: names of everything else of its state.
        state: names of both, in the order of the net's `state_dict`.
        statistics: number of BatchNorm layers that keep running statistics.
        normalisation: of raw values.
        torch: version that it was traced with.
        exporter: version of Dreamshare.
        graphs: by name.
        members: files by name, the manifest left out.
        programs: by name; the graph of each transform is in `graphs`.
        dtype: of the input.
        opset: of the graphs.
        format: of the bundle.
    """

    model: str
    name: str
    shape: tuple[int, ...]
    classes: int
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    state: tuple[str, ...]
    statistics: int
    normalisation: Normalisation
    torch: str
    exporter: str
    graphs: Mapping[str, GraphEntry]
    members: Mapping[str, Member]
    programs: Mapping[str, Signature] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    dtype: str = "float32"
    opset: int = OPSET
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT or self.opset != OPSET or self.dtype != "float32":
            raise BundleError(
                f"the bundle has format {self.format}, opset {self.opset}, {self.dtype}; this "
                f"release reads format {FORMAT}, opset {OPSET}, float32: export the model again"
            )
        if self.classes < 2 or not self.shape or min(self.shape) < 1:
            raise BundleError("the bundle's input shape or number of classes is not valid")
        if self.places not in ((), self.shape[1:]):
            raise BundleError("the bundle's labels are neither of inputs nor of their pixels")
        if sorted(self.state) != sorted({*self.parameters, *self.buffers}):
            raise BundleError("the bundle's state is not its parameters and buffers")
        given = self.graphs["statistics"].outputs if "statistics" in self.graphs else ()
        if given != self.own_statistics or any("N" in port.shape for port in given):
            raise BundleError(
                "the bundle's graphs do not agree on statistics of features: export the model again"
            )
        if len(self.programs) > MAX_PROGRAMS:
            raise BundleError(f"a bundle has at most {MAX_PROGRAMS} programs")
        for name, signature in self.programs.items():
            for transform in signature.transforms:
                found = self.graphs.get(signature.graph(transform))
                ports = (signature.inputs(transform), signature.outputs(transform))
                if name != signature.name or not found or (found.inputs, found.outputs) != ports:
                    raise BundleError(
                        f"program {name} and its graph for {transform} differ: export the model "
                        "again"
                    )

    @property
    def own_statistics(self) -> tuple[Port, ...]:
        """Return what "dream_grad" compares with: statistics of the device's own data."""
        dreaming = self.graphs.get("dream_grad")
        ports = dreaming.inputs if dreaming else ()
        return tuple(port for port in ports if port.name.startswith(STATISTICS))

    def to_json(self) -> bytes:
        """Return `manifest.json`."""
        told = asdict(self)
        if not self.places:
            del told["places"]
        return json.dumps(told, indent=1, sort_keys=True).encode()

    @property
    def rows(self) -> int:
        """Rows of logits of one input."""
        return math.prod(self.places)

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Parse `manifest.json`.

        Raises:
            BundleError: too large, not JSON, another format, or not complete.
        """
        if len(content) > MAX_MANIFEST:
            raise BundleError(f"the manifest has {len(content)} bytes; at most {MAX_MANIFEST}")
        try:
            given = json.loads(content)
        except (ValueError, RecursionError):
            raise BundleError("the manifest is not JSON; was the bundle cut or changed?") from None
        if not isinstance(given, dict) or given.get("format") != FORMAT:
            told = given.get("format") if isinstance(given, dict) else None
            raise BundleError(
                f"the bundle has format {told!r}; this release reads {FORMAT}: export it again"
            )
        try:
            return cls(
                **{
                    **given,
                    "shape": tuple(map(whole, given["shape"])),
                    "classes": whole(given["classes"]),
                    "places": tuple(map(whole, given.get("places", ()))),
                    "parameters": tuple(map(text, given["parameters"])),
                    "buffers": tuple(map(text, given["buffers"])),
                    "state": tuple(map(text, given["state"])),
                    "normalisation": _normalisation(given["normalisation"]),
                    "graphs": {text(n): _graph(g) for n, g in given["graphs"].items()},
                    "programs": {
                        text(n): signature_from(p) for n, p in given.get("programs", {}).items()
                    },
                    "members": {
                        text(n): Member(whole(m["size"]), text(m["sha256"]))
                        for n, m in given["members"].items()
                    },
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the manifest is not complete: {error}") from None


def _graph(given: Mapping[str, object]) -> GraphEntry:
    fields = dict(given)
    for name in ("inputs", "outputs"):
        fields[name] = tuple(_port(each) for each in listed(fields[name]))
    weights = tuple(map(text, listed(fields["weights"])))
    return GraphEntry(
        text(fields["name"]),
        text(fields["member"]),
        tuple(_port(each) for each in listed(given["inputs"])),
        tuple(_port(each) for each in listed(given["outputs"])),
        weights,
        number(given["error"]),
        number(given["torch_error"]),
        whole(given["fixed_bytes"]),
        whole(given["example_bytes"]),
    )


def _port(given: object) -> Port:
    match given:
        case {"name": str(name), "dtype": str(dtype), "shape": list(shape)}:
            return Port(name, dtype, tuple(shape))
    raise BundleError("a port of a graph is not complete")


def _normalisation(given: object) -> Normalisation:
    match given:
        case {"mean": list(mean), "deviation": list(deviation)}:
            return Normalisation(tuple(map(number, mean)), tuple(map(number, deviation)))
    raise BundleError("the normalisation is not complete")
