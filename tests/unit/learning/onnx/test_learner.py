"""What is an ONNX learner's own: memory, providers, shapes."""

from __future__ import annotations

import logging

import numpy as np
import onnxruntime
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx import BundleError, OnnxLearner, Runtime
from dreamshare.learning.onnx.manifest import GraphEntry
from tests.unit.learning.learners import learner
from tests.unit.learning.torch.tiny import images


def entry(fixed: int, example: int) -> GraphEntry:
    return GraphEntry("logits", "logits.onnx", (), (), (), fixed_bytes=fixed, example_bytes=example)


def test_a_budget_of_memory_bounds_the_batch() -> None:
    """1 MB = 1,048,576 bytes: 48,576 fixed and 10,000 an example leave room for 100."""
    tight, graph = Runtime(memory_mb=1), entry(48_576, 10_000)
    assert tight.most_examples(graph) == 100
    tight.check(graph, 100)
    with pytest.raises(BundleError, match="about 2 MB for a batch of 101; memory_mb allows 1"):
        tight.check(graph, 101)
    with pytest.raises(BundleError, match="batch of 1;"):
        tight.most_examples(entry(2 << 20, 1))
    assert Runtime().most_examples(graph) > 10**6


def test_a_learner_keeps_to_its_budget() -> None:
    free, tight = learner("onnx"), learner("onnx", runtime=Runtime(memory_mb=1))
    x = images(3_000)
    np.testing.assert_allclose(tight.logits(x), free.logits(x), rtol=1e-4, atol=1e-5)
    before = tight.snapshot()
    with pytest.raises(ConfigError, match="use a smaller batch"):
        tight.input_gradient(x, DreamObjective(feature_weight=0.0))
    with pytest.raises(ConfigError, match="use a smaller batch"):
        tight.fit([(Batch(x, np.zeros(len(x), np.int64)),)], FitObjective())
    assert tight.snapshot() == before


def test_a_step_that_fails_changes_nothing() -> None:
    one = learner("onnx")
    one.fit([(Batch(images(4), np.arange(4) % 3),)], FitObjective())
    before = one.snapshot()
    with pytest.raises(ConfigError, match="class of 3 or more"):
        one.fit([(Batch(images(4), np.array([0, 1, 2, 3])),)], FitObjective(optimizer="sgd"))
    assert one.snapshot() == before


def test_inputs_of_another_shape() -> None:
    one = learner("onnx")
    wrong = np.zeros((2, 1, 5, 5), np.float32)
    for call in (
        lambda: one.logits(wrong),
        lambda: one.input_gradient(wrong, DreamObjective()),
        lambda: one.fit([(Batch(wrong, np.zeros(2, np.int64)),)], FitObjective()),
    ):
        with pytest.raises(ConfigError, match=r"\(1, 5, 5\); the model takes \(1, 4, 4\)"):
            call()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("arena", [False, True])
def test_threads_and_arena_change_no_result(threads: int, arena: bool) -> None:
    plain, other = learner("onnx"), learner("onnx", runtime=Runtime(threads, arena))
    np.testing.assert_allclose(other.logits(images(9)), plain.logits(images(9)), atol=1e-5)


def test_wrong_settings() -> None:
    for wrong in ({"threads": 0}, {"memory_mb": 0}):
        with pytest.raises(BundleError, match=next(iter(wrong))):
            Runtime(**wrong)
    with pytest.raises(BundleError, match="no execution provider AbacusExecutionProvider"):
        Runtime(providers=("AbacusExecutionProvider",))


def test_nothing_is_computed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    assert Runtime.accelerated().providers == ("CUDAExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(BundleError, match="AzureExecutionProvider"):
        Runtime(providers=("AzureExecutionProvider",))


def test_an_accelerator_that_cannot_start_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """This onnxruntime has no CUDA: it goes on with the CPU, as one without a driver does."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA: its provider may well start")
    session = onnxruntime.InferenceSession

    def without_cuda(content: bytes, options: object, providers: list[str]) -> object:
        return session(content, options, providers=[p for p in providers if "CUDA" not in p])

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    with caplog.at_level(logging.WARNING):
        one: OnnxLearner = learner("onnx", runtime=Runtime.accelerated())
        one.logits(images(1))
    assert "CUDAExecutionProvider cannot start here; graph logits runs on the CPU" in caplog.text
