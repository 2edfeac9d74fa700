"""What devices compute with: the choice, and that both runtimes are the same net."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.digits import SHAPE
from dreamshare_cli.demo.learners import make_learner
from dreamshare_cli.demo.runtimes import DeviceRuntime, RuntimeChoice, choose, importable
from dreamshare_cli.demo.setting import ARCHITECTURES

EVERYTHING = ("torch", "safetensors", "onnxruntime")


def only(*there: str) -> Callable[[str], bool]:
    return lambda module: module in there


@pytest.mark.parametrize(
    ("asked", "there", "chosen"),
    [
        (None, EVERYTHING, RuntimeChoice.TORCH),
        (None, ("torch", "safetensors"), RuntimeChoice.TORCH),
        (None, ("onnxruntime",), RuntimeChoice.ONNX),
        (None, ("onnxruntime", "torch"), RuntimeChoice.ONNX),  # torch alone keeps no snapshots
        (RuntimeChoice.ONNX, EVERYTHING, RuntimeChoice.ONNX),
        (RuntimeChoice.MIXED, EVERYTHING, RuntimeChoice.MIXED),
        (RuntimeChoice.TORCH, ("torch", "safetensors"), RuntimeChoice.TORCH),
    ],
)
def test_torch_where_there_is_one_else_onnx_and_what_was_asked_for(
    asked: RuntimeChoice | None, there: tuple[str, ...], chosen: RuntimeChoice
) -> None:
    assert choose(asked, only(*there)) is chosen


@pytest.mark.parametrize(
    ("asked", "there", "reason"),
    [
        (RuntimeChoice.MIXED, ("onnxruntime",), "half of the devices need torch"),
        (RuntimeChoice.TORCH, ("onnxruntime",), r"pip install 'dreamshare\[demo,torch\]'"),
        (RuntimeChoice.TORCH, ("onnxruntime", "torch"), "need safetensors"),
        (RuntimeChoice.MIXED, ("torch", "safetensors"), "need onnxruntime"),
        (RuntimeChoice.ONNX, ("torch", "safetensors"), r"pip install 'dreamshare\[demo\]'"),
        (None, (), "need onnxruntime"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(
    asked: RuntimeChoice | None, there: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        choose(asked, only(*there))
    assert "\n" not in str(caught.value)


def test_mixed_gives_every_other_device_the_other_runtime() -> None:
    assert [RuntimeChoice.MIXED.of(n).value for n in range(4)] == ["torch", "onnx"] * 2
    assert {RuntimeChoice.ONNX.of(n) for n in range(4)} == {DeviceRuntime.ONNX}
    assert {RuntimeChoice.TORCH.of(n) for n in range(4)} == {DeviceRuntime.TORCH}


class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == "colorsys":
            raise ModuleNotFoundError("refused")


def test_a_module_that_a_hook_refuses_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert importable("colorsys")
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    assert not importable("colorsys")
    assert not importable("no_such_module")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not importable("torch")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_runtimes_start_from_the_same_weights(architecture: str) -> None:
    torch, onnx = (make_learner(runtime, architecture, 1_003) for runtime in DeviceRuntime)
    theirs, ours = torch.parameters(), onnx.parameters()
    assert theirs.keys() == ours.keys()
    assert all(np.array_equal(theirs[name], ours[name]) for name in ours)
    x_NCHW = np.random.default_rng(0).uniform(-1, 1, (5, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(onnx.logits(x_NCHW), torch.logits(x_NCHW), rtol=1e-4, atol=1e-5)
    other = make_learner(DeviceRuntime.ONNX, architecture, 1_004).parameters()
    assert any(not np.array_equal(other[name], ours[name]) for name in ours)
