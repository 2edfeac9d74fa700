"""What the doctor says of bundles, data, memory and stored weights, and what it advises."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from dreamshare.learning.onnx import Bundle, OnnxLearner
from dreamshare.learning.onnx.bundle import identity_of, member_of
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.data_config import DataConfig
from dreamshare_edge.doctor.computing import look_at_computing
from dreamshare_edge.doctor.findings import Finding, Severity
from dreamshare_edge.sample import FACTORY
from tests.integration.bundles import SHAPE, small_bundle, write_arrays

MEMORY = "dreamshare_edge.doctor.computing.free_memory"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


@pytest.fixture
def config(tmp_path: Path, bundle: Bundle) -> AgentConfig:
    (tmp_path / "net.dream").write_bytes(bundle.to_bytes())
    write_arrays(tmp_path / "examples.npz", 60, 1)
    return AgentConfig(
        store=tmp_path / "state",
        learner=LearnerConfig(bundle=tmp_path / "net.dream"),
        data=DataConfig(arrays=tmp_path / "examples.npz"),
    )


def looked(config: AgentConfig) -> dict[str, Finding]:
    found = list(look_at_computing(config))
    assert all(bool(f.advice) == (f.severity is not Severity.OK) for f in found)
    return {each.subject: each for each in found}


def stored(config: AgentConfig, snapshot: bytes) -> None:
    head = json.dumps({}).encode()
    (config.store / "kept").mkdir(parents=True, exist_ok=True)
    (config.store / "kept" / "learner").write_bytes(
        len(head).to_bytes(4, "little") + head + snapshot
    )


def learning(config: AgentConfig, **changes: object) -> AgentConfig:
    return dataclasses.replace(config, learner=dataclasses.replace(config.learner, **changes))


def test_a_bundle_that_is_well(config: AgentConfig, bundle: Bundle) -> None:
    stored(config, OnnxLearner(bundle).snapshot())
    found = looked(config)
    assert set(found) == {"bundle", "memory", "data", "learner", "weights"}
    assert {each.severity for each in found.values()} == {Severity.OK}
    assert "inputs of 1 x 8 x 8, 10 classes; every graph runs" in found["bundle"].seen
    assert "54 examples" in found["data"].seen


def test_a_bundle_that_is_not_there_or_damaged(config: AgentConfig, tmp_path: Path) -> None:
    path = tmp_path / "net.dream"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = looked(config)
    assert found["bundle"].severity is Severity.ERROR
    assert set(found) == {"bundle"}, "nothing is said of what was not looked at"
    path.unlink()
    assert "there is no bundle" in looked(config)["bundle"].seen


def test_a_graph_that_does_not_run(config: AgentConfig, bundle: Bundle, tmp_path: Path) -> None:
    members = {**bundle.members, "dream_grad.onnx": b"no graph"}
    listed = {name: member_of(content) for name, content in members.items()}
    told = dataclasses.replace(bundle.manifest, members=listed, model=identity_of(members))
    broken = Bundle(told, members)
    (tmp_path / "net.dream").write_bytes(broken.to_bytes())
    found = looked(config)
    assert "a graph of the bundle is not one of ours" in found["bundle"].seen


def test_a_provider_that_is_not_there(config: AgentConfig) -> None:
    found = looked(learning(config, providers=("NoSuchProvider",)))
    assert "no execution provider NoSuchProvider" in found["bundle"].seen
    assert "learner.providers" in found["bundle"].advice


def test_without_onnxruntime(config: AgentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("dreamshare.learning.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "dreamshare_edge.bundled", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # type: ignore[arg-type]
    found = looked(config)
    assert set(found) == {"bundle"}
    assert found["bundle"].seen == "onnxruntime is missing"
    assert found["bundle"].advice == "pip install 'dreamshare[onnx]'"


def test_data_that_do_not_fit(config: AgentConfig, tmp_path: Path) -> None:
    np.savez(tmp_path / "examples.npz", x=np.zeros((3, 1, 4, 16)), y=np.zeros(3, np.int64))
    found = looked(config)
    assert found["data"].severity is Severity.ERROR
    assert f"takes {SHAPE}" in found["data"].seen
    assert "learner" not in found


def test_memory(config: AgentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEMORY, lambda: 1 << 10)
    found = looked(config)["memory"]
    assert found.severity is Severity.WARNING
    assert "are available" in found.seen
    monkeypatch.setattr(MEMORY, lambda: None)
    assert looked(config)["memory"].severity is Severity.OK


@pytest.mark.parametrize(
    ("example_bytes", "severity", "words"),
    [
        (10, Severity.OK, "needs about"),
        (200 << 10, Severity.WARNING, "memory_mb allows 4"),
        (4 << 20, Severity.ERROR, "a step on 2 examples needs about"),
    ],
)
def test_the_budget_of_memory(
    config: AgentConfig,
    bundle: Bundle,
    tmp_path: Path,
    example_bytes: int,
    severity: Severity,
    words: str,
) -> None:
    graphs = {
        name: dataclasses.replace(graph, fixed_bytes=0, example_bytes=example_bytes)
        for name, graph in bundle.manifest.graphs.items()
    }
    large = Bundle(dataclasses.replace(bundle.manifest, graphs=graphs), bundle.members)
    (tmp_path / "net.dream").write_bytes(large.to_bytes())
    found = looked(learning(config, memory_mb=4))["memory"]
    assert (found.severity, words in found.seen) == (severity, True)


def test_stored_weights_of_another_model(config: AgentConfig) -> None:
    stored(config, b"no snapshot")
    found = looked(config)["weights"]
    assert found.severity is Severity.ERROR
    assert "move" in found.advice
    (config.store / "kept" / "learner").write_bytes(b"\xff" * 9)
    assert "damaged" in looked(config)["weights"].seen


def test_a_factory(tmp_path: Path) -> None:
    config = AgentConfig(store=tmp_path / "state", learner=LearnerConfig(FACTORY, {"seed": 1}))
    assert looked(config)["learner"].severity is Severity.OK
    assert "nothing computes" in looked(learning(config, factory=""))["learner"].seen
    assert "no module" in looked(learning(config, factory="no.such:thing"))["learner"].seen
    failing = learning(config, factory="tests.unit.shells.test_doctor_computing:fails")
    assert "RuntimeError: the album is gone" in looked(failing)["learner"].seen


def fails(settings: object) -> None:
    raise RuntimeError("the album is gone")
