"""What a bundle from elsewhere may try on a device: each is refused before onnxruntime runs it.

Where onnxruntime alone would do what is asked, the test shows that, too.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

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
from dreamshare.learning.onnx.tensors import unpack_arrays

FLOAT = TensorProto.FLOAT
X = helper.make_tensor_value_info("x", FLOAT, ["N", 3])
LOGITS = helper.make_tensor_value_info("logits", FLOAT, ["N", 2])
W = np.ones((3, 2), np.float32)
ENTRY = GraphEntry(
    "logits",
    "logits.onnx",
    (Port("x", "float32", ("N", 3)),),
    (Port("logits", "float32", ("N", 2)),),
    ("P/w",),
)
Nodes = Sequence[onnx.NodeProto]
Constants = Sequence[onnx.TensorProto]


def outside(
    name: str = "P/w", location: str = "weights", dims: Sequence[int] = (3, 2)
) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=FLOAT, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def node(kind: str, inputs: str, output: str, domain: str = "", **fields: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], domain=domain, **fields)


GOOD = (node("MatMul", "x P/w", "logits"),)


def drawn(nodes: Nodes = GOOD, constants: Constants | None = None, **more: object) -> bytes:
    tensors = [outside()] if constants is None else list(constants)
    graph = helper.make_graph(list(nodes), "g", [X], [LOGITS], tensors)
    fields = {"opset_imports": [helper.make_opsetid("", 18)], "ir_version": 9, **more}
    return bytes(helper.make_model(graph, **fields).SerializeToString())


def bundle(graph: bytes, entry: GraphEntry = ENTRY, weights: np.ndarray = W) -> Bundle:
    """Return what is read from the file of a bundle with this graph."""
    members = {"logits.onnx": graph, WEIGHTS: packed_weights({"w": weights})}
    manifest = Manifest(
        model=identity_of(members),
        name="hostile",
        shape=(3,),
        classes=2,
        parameters=("w",),
        buffers=(),
        state=("w",),
        statistics=0,
        normalisation=Normalisation(),
        torch="2.13.0",
        exporter="0",
        graphs={"logits": entry},
        members={name: member_of(content) for name, content in members.items()},
    )
    return read_bundle(Bundle(manifest, members).to_bytes())


def opened(graph: bytes, entry: GraphEntry = ENTRY, weights: np.ndarray = W) -> object:
    read = bundle(graph, entry, weights)
    return read.open("logits", read.weights())


def test_the_same_graph_without_a_trick_runs() -> None:
    read = bundle(drawn())
    found = read.open("logits", read.weights()).run({"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(found["logits"], [[3.0, 3.0]])


def test_a_constant_that_is_a_file_of_the_device_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(np.arange(1000, dtype=np.float32).tobytes())
    stolen = outside("stolen", "secret", [1000])
    read = [node("Constant", "", "s", value=stolen), node("Identity", "s", "y")]
    graph = helper.make_graph(read, "g", [], [helper.make_tensor_value_info("y", FLOAT, None)])
    opsets = [helper.make_opsetid("", 18)]
    alone = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    (found,) = onnxruntime.InferenceSession(alone).run(None, {})
    np.testing.assert_array_equal(found, np.arange(1000))  # onnxruntime alone reads it
    tricks = (
        (node("Constant", "", "s", value=stolen), node("MatMul", "x s", "logits")),
        (node("MatMul", "x stolen", "logits"),),
    )
    for nodes, constants in zip(tricks, ((), (outside(), stolen)), strict=True):
        with pytest.raises(BundleError, match="Constant|file of the device"):
            opened(drawn(nodes, constants))


@pytest.mark.parametrize("location", ["secret", "/etc/passwd", "../weights", ""])
def test_weights_are_bound_and_never_read(location: str) -> None:
    with pytest.raises(BundleError, match="file of the device"):
        opened(drawn(constants=[outside(location=location)]))


def test_a_weight_that_the_manifest_does_not_name_is_refused() -> None:
    with pytest.raises(BundleError, match="other weights"):
        opened(drawn(constants=[outside(), outside("P/more")]))
    with pytest.raises(BundleError, match="other weights"):
        opened(drawn((node("MatMul", "x c", "logits"),), [numpy_helper.from_array(W, "c")]))


def loop() -> onnx.NodeProto:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", "c", "c2"), node("Identity", "v", "v2")],
        "b",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", FLOAT, None)],
        [info("c2", TensorProto.BOOL, []), info("v2", FLOAT, None)],
    )
    return node("Loop", "n c v", "l", body=body)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (drawn((loop(), *GOOD)), "'Loop'"),
        (drawn((node("Identity", "x", "y", body=loop().attribute[0].g), *GOOD)), "unknown field"),
        (drawn((node("RandomNormal", "", "r", shape=[2]), *GOOD)), "'RandomNormal'"),
        (drawn((node("Gelu", "x", "y", domain="com.microsoft"), *GOOD)), r"'com.microsoft.Gelu'"),
        (drawn((node("MatMul", "x P/w", "logits", domain="evil"),)), "'evil.MatMul'"),
        (drawn(opset_imports=[helper.make_opsetid("", 21)]), "opset 18"),
        (
            drawn(opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]),
            "opset 18",
        ),
        (drawn(opset_imports=[helper.make_opsetid("ai.onnx.ml", 18)]), "opset 18"),
        (
            drawn(
                functions=[
                    helper.make_function("", "MatMul", ["a"], ["b"], list(GOOD), [], ["q"], [])
                ]
            ),
            "unknown field 25",
        ),
        (b"", "opset 18"),
        (b"\xff" * 40, "more than ten bytes"),
        (drawn()[:-3], "cut"),
        (drawn() + drawn(), "twice"),
        (drawn() + b"\x0b", "kind 3"),
    ],
)
def test_what_the_exporter_does_not_write_is_refused(graph: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        opened(graph)


def constant(dims: Sequence[int], raw: bytes, dtype: int = FLOAT) -> onnx.TensorProto:
    return TensorProto(name="c", data_type=dtype, dims=dims, raw_data=raw)


@pytest.mark.parametrize(
    "tensor",
    [
        constant([1 << 39], bytes(8)),
        constant([1 << 33, 1 << 33], b""),
        constant([-1, 2], bytes(8)),
        constant([2], bytes(8), TensorProto.STRING),
        constant([2], bytes(9)),
        constant([1] * 9, bytes(4)),
        TensorProto(name="c", data_type=FLOAT, dims=[2], float_data=[1.0, 2.0]),
    ],
)
def test_constants_that_lie_about_their_size_are_refused(tensor: onnx.TensorProto) -> None:
    with pytest.raises(BundleError, match="'c'|unknown field"):
        opened(drawn(constants=[outside(), tensor]))


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("ConstantOfShape", [1 << 40]),
        ("Expand", [1 << 20, 1 << 20]),
        ("Tile", [1 << 15, 1 << 15]),
        ("Pad", [0, 1 << 40, 0, 0]),
        ("Pad", [0, -(1 << 62), 0, 1 << 62]),
    ],
)
def test_shapes_of_gigabytes_are_refused(kind: str, sizes: list[int]) -> None:
    shape = numpy_helper.from_array(np.array(sizes), "s")
    inputs = "s" if kind == "ConstantOfShape" else "x s"
    with pytest.raises(BundleError, match=kind):
        opened(drawn((node(kind, inputs, "big"), *GOOD), [outside(), shape]))


def test_weights_of_another_shape_or_type_are_refused() -> None:
    for weights in (np.ones((2, 3), "f4"), np.ones((3, 2)), np.ones(6, "f4")):
        with pytest.raises(BundleError, match="another model"):
            opened(drawn(), weights=weights)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    weights = W.copy()
    weights[1, 1] = value
    with pytest.raises(BundleError, match="weight w is not finite"):
        opened(drawn(), weights=weights)


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, inputs=(Port("x", "float32", ("N", 4)),)),
        replace(ENTRY, inputs=(Port("x", "float64", ("N", 3)),)),
        replace(ENTRY, inputs=(*ENTRY.inputs, Port("z", "float32", ()))),
        replace(ENTRY, outputs=(Port("probabilities", "float32", ("N", 2)),)),
    ],
)
def test_a_manifest_that_tells_other_ports_is_refused(entry: GraphEntry) -> None:
    with pytest.raises(BundleError, match="other inputs or outputs"):
        opened(drawn(), entry)


def test_two_members_of_one_name_are_refused() -> None:
    """The second would win in one reader and the first in another."""
    out = io.BytesIO(bundle(drawn()).to_bytes())
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("logits.onnx", b"another")
    with pytest.raises(BundleError, match="its own name"):
        read_bundle(out.getvalue())


def test_a_header_that_is_nested_without_end_is_refused() -> None:
    text = b'{"a":' * 100_000
    with pytest.raises(BundleError, match="not JSON"):
        unpack_arrays(len(text).to_bytes(8, "little") + text)


@pytest.mark.parametrize(
    "program",
    [
        {},
        {"name": "loss/1"},
        {"name": "../x/1", "arguments": [], "data": [], "results": [], "transforms": ["value"]},
        {"name": "p/1", "arguments": [], "data": [], "results": [], "transforms": ["exec"]},
        {"name": "p/1", "arguments": [1], "data": [], "results": [], "transforms": ["value"]},
        {
            "name": "p/1",
            "arguments": [
                {"name": "a", "shape": [1 << 40], "dtype": "float32", "low": 0, "high": 1}
            ],
            "data": [],
            "results": [{"name": "f", "shape": [], "dtype": "float32"}],
            "transforms": ["value"],
        },
        {
            "name": "p/1",
            "arguments": [{"name": "a", "shape": [], "dtype": "float32", "low": 0, "high": 1}],
            "data": [],
            "results": [{"name": "f", "shape": [], "dtype": "float32"}],
            "transforms": ["value"],
        },
    ],
)
def test_programs_that_the_graphs_do_not_hold_are_refused(program: dict[str, object]) -> None:
    told = json.loads(bundle(drawn()).manifest.to_json()) | {"programs": {"p/1": program}}
    with pytest.raises(BundleError):
        Manifest.from_json(json.dumps(told).encode())


@given(st.binary(max_size=60), st.integers(0, 400), st.booleans())
def test_damage_is_refused_or_without_effect(noise: bytes, at: int, insert: bool) -> None:
    content = bytearray(drawn())
    content[at : at if insert else at + len(noise)] = noise
    try:
        found = inspect_graph(ENTRY, bytes(content))
    except BundleError:
        return
    assert found.keys() == {"P/w"}
