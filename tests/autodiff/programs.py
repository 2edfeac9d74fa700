"""Programs, terms and devices that the tests of autodiff share; smooth, in float64.

`curve/2` has two arguments and two results, nothing linear; `logistic/1` is one loss.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dreamshare.algorithms.autodiff.config import Argument, Program, Result
from dreamshare.learning.base import Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.export import ExportSettings, compile
from dreamshare.learning.onnx import Bundle, OnnxLearner
from dreamshare.learning.onnx import signatures as onnx
from dreamshare.learning.torch import TorchLearner
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from tests.unit.learning.export.programs import CURVE

FEATURES = 5


def logistic(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """Mean of log(1 + exp(-margin))."""
    sign_N = 2.0 * data["y"].double() - 1.0
    margin_N = sign_N * (data["x"] @ arguments["theta"])
    return {"loss": functional.softplus(-margin_N).mean()}


LOGISTIC = ProgramSource(
    "logistic/1",
    logistic,
    (onnx.Argument("theta", (FEATURES,), "float64"),),
    (
        onnx.DataArray("x", ("N", FEATURES), "float64"),
        onnx.DataArray("y", ("N",), "int64", below=2),
    ),
    onnx.TRANSFORMS,
)
SOURCES = (LOGISTIC, CURVE)

LOSS = Program(
    "logistic/1",
    (Argument("theta", (FEATURES,), bound=10.0, gradient=2.0, product=2.0),),
    (Result("loss", (), bound=4.0, pushed=8.0),),
)
BEND = Program(
    "curve/2",
    (
        Argument("w", (FEATURES,), bound=10.0, gradient=8.0, product=8.0),
        Argument("b", (), bound=10.0, gradient=8.0, product=8.0),
    ),
    (Result("mean", (FEATURES,), bound=4.0, pushed=8.0), Result("size", (), bound=8.0, pushed=8.0)),
)
TERMS = (LOSS, BEND)


def data_of(device: int, count: int = 6) -> ArrayData:
    """Return a device's examples; each device has others."""
    rng = np.random.default_rng([7, device])
    x = np.clip(rng.normal(0, 0.6, (count, FEATURES)), -1.5, 1.5).astype(np.float32)
    return ArrayData(x, rng.integers(0, 2, count))


def learner_of(kind: str) -> Learner:
    """Return a learner of a kind, "torch" or "onnx", that has the programs."""
    if kind == "onnx":
        return OnnxLearner(bundle_of())
    return TorchLearner(_net(), classes=2, programs=SOURCES)


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


@cache
def bundle_of() -> Bundle:
    """Return a bundle that has the programs."""
    return compile(_net(), (1, 2, 2), classes=2, settings=ExportSettings(1, programs=SOURCES))
