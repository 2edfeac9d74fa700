"""Targets: bundles, and the graphs and weights inside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from dreamshare.learning.onnx.bundle import (
    WEIGHTS,
    Bundle,
    identity_of,
    member_of,
    packed_weights,
    read_bundle,
)
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.inspection import inspect_graph
from dreamshare.learning.onnx.manifest import GraphEntry, Manifest, Normalisation
from dreamshare.learning.onnx.ports import Port
from dreamshare.learning.onnx.signatures import Argument, DataArray, Result, Signature
from dreamshare.learning.onnx.tensors import unpack_arrays
from dreamshare_cli.demo.bundles import demo_bundle
from tests.fuzz.target import Target, refusing


@cache
def small() -> Bundle:
    """Return a bundle with one graph, one program and one weight; its graph is never run."""
    program = Signature(
        "loss/1",
        (Argument("theta", (3,), "float64"),),
        (DataArray("y", ("N",), "int64", below=3),),
        (Result("loss", ()),),
        ("value",),
    )
    ports = program.inputs("value"), program.outputs("value")
    graph = GraphEntry("loss/1.value", "loss-1.value.onnx", *ports, ())
    logits = GraphEntry("logits", "logits.onnx", (Port("x", "float32", ("N", 3)),), (), ("P/w",))
    members = {
        "logits.onnx": b"a graph",
        "loss-1.value.onnx": b"another",
        WEIGHTS: packed_weights({"w": np.ones((2, 3), np.float32)}),
    }
    manifest = Manifest(
        model=identity_of(members),
        name="small",
        shape=(3,),
        classes=2,
        parameters=("w",),
        buffers=(),
        state=("w",),
        statistics=0,
        normalisation=Normalisation((0.5,), (0.25,)),
        torch="2.13.0",
        exporter="0",
        graphs={"logits": logits, "loss/1.value": graph},
        members={name: member_of(content) for name, content in members.items()},
        programs={"loss/1": program},
    )
    return Bundle(manifest, members)


@cache
def _entry() -> GraphEntry:
    return demo_bundle("VGG-like").manifest.graphs["logits"]


@cache
def _graphs() -> Sequence[bytes]:
    return [demo_bundle("VGG-like").members["logits.onnx"]]


def _inspect(raw: bytes) -> None:
    """What passes has the weights that its manifest names."""
    entry = _entry()
    try:
        found = inspect_graph(entry, raw)
    except BundleError:
        return
    if found.keys() != set(entry.weights):
        raise AssertionError("a graph with other weights passed")


TARGETS: tuple[Target, ...] = (
    Target(
        "bundle",
        refusing(lambda raw: read_bundle(raw).weights(), BundleError),
        lambda: [small().to_bytes()],
    ),
    Target(
        "bundle-manifest",
        refusing(Manifest.from_json, BundleError),
        lambda: [small().manifest.to_json()],
    ),
    Target("bundle-graph", _inspect, _graphs),
    Target(
        "bundle-weights",
        refusing(unpack_arrays, BundleError),
        lambda: [small().members[WEIGHTS]],
    ),
)
