"""The reader of a bundle: what it gives, and everything that it refuses."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.learning.onnx.bundle import (
    MAX_MEMBERS,
    WEIGHTS,
    Bundle,
    identity_of,
    member_of,
    packed_weights,
    read_bundle,
)
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import GraphEntry, Manifest, Normalisation
from dreamshare.learning.onnx.ports import Port
from dreamshare.learning.onnx.tensors import pack_arrays, unpack_arrays


def made() -> Bundle:
    """Return a bundle whose graph is no graph: reading does not run it."""
    members = {
        "logits.onnx": b"not a graph",
        WEIGHTS: packed_weights({"w": np.ones((2, 3), np.float32)}),
    }
    entry = GraphEntry(
        "logits",
        "logits.onnx",
        (Port("x", "float32", ("N", 3)),),
        (Port("logits", "float32", ("N", 2)),),
        ("P/w",),
    )
    manifest = Manifest(
        model=identity_of(members),
        name="made",
        shape=(3,),
        classes=2,
        parameters=("w",),
        buffers=(),
        state=("w",),
        statistics=0,
        normalisation=Normalisation((0.5,), (0.25,)),
        torch="2.13.0",
        exporter="0",
        graphs={"logits": entry},
        members={name: member_of(content) for name, content in members.items()},
    )
    return Bundle(manifest, members)


def rewritten(change: dict[str, bytes | None]) -> bytes:
    """Return the bundle's file with members replaced, added or left out."""
    source = zipfile.ZipFile(io.BytesIO(made().to_bytes()))
    members = {name: source.read(name) for name in source.namelist()} | change
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return out.getvalue()


def manifest(**changes: object) -> bytes:
    return json.dumps(json.loads(made().manifest.to_json()) | changes).encode()


def test_what_is_written_is_read() -> None:
    bundle = made()
    again = read_bundle(bundle.to_bytes())
    assert again.manifest == bundle.manifest
    assert again.members == bundle.members
    np.testing.assert_array_equal(again.weights()["w"], np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a bundle"),
        (b"PK\x03\x04 and nothing else", "not a bundle"),
        (rewritten({"manifest.json": None}), "no manifest"),
        (rewritten({"manifest.json": b"{"}), "not JSON"),
        (rewritten({"manifest.json": b"[]"}), "format"),
        (rewritten({"manifest.json": manifest(format=2)}), "format 2"),
        (rewritten({"manifest.json": manifest(opset=21)}), "opset 21"),
        (rewritten({"manifest.json": manifest(classes="2")}), "not complete"),
        (rewritten({"manifest.json": manifest(graphs={"logits": {}})}), "not complete"),
        (rewritten({"manifest.json": manifest(surprise=1)}), "not complete"),
        (rewritten({"logits.onnx": b"not a grapH"}), "damaged"),
        (rewritten({"logits.onnx": b"not a graph and more"}), "larger"),
        (rewritten({"logits.onnx": None}), "members"),
        (rewritten({"extra.onnx": b"x"}), "members"),
        (rewritten({"../extra.onnx": b"x"}), "no name"),
        (rewritten({"/etc/passwd": b"x"}), "no name"),
        (rewritten({"manifest.json": manifest(model="1" * 64)}), "model id"),
        (rewritten({"manifest.json": b"[" * 200_000}), "not JSON"),
        (rewritten({f"{n}": b"" for n in range(MAX_MEMBERS)}), "at most"),
    ],
)
def test_what_is_no_bundle_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        read_bundle(content)


def test_a_graph_that_is_none_is_refused_when_it_is_opened() -> None:
    with pytest.raises(BundleError, match="not one of ours"):
        made().open("logits", made().weights())
    with pytest.raises(BundleError, match="no graph 'vjp'"):
        made().open("vjp", {})
    with pytest.raises(BundleError, match="needs the weight"):
        made().open("logits", {})


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_a_damaged_bundle_raises_its_own_error_or_is_whole(noise: bytes, at: int) -> None:
    content = bytearray(made().to_bytes())
    at %= len(content)
    content[at : at + len(noise)] = noise
    with suppress(BundleError):
        read_bundle(bytes(content))


@given(st.binary(max_size=300))
def test_a_damaged_file_of_arrays_raises_its_own_error(noise: bytes) -> None:
    with suppress(BundleError):
        unpack_arrays(noise)


def test_arrays_are_those_that_safetensors_writes() -> None:
    from safetensors.numpy import load, save

    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(7, np.int64),
        "c": np.zeros((0, 2), np.float32),
    }
    for back in (load(pack_arrays(arrays)), unpack_arrays(save(arrays))):
        assert back.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)
            assert back[name].dtype == array.dtype


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "X", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}},
        {"a": 1},
        {},
    ],
)
def test_a_header_that_lies_is_refused(header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(BundleError):
        unpack_arrays(len(text).to_bytes(8, "little") + text + b"\0" * 8)
