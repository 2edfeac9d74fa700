"""What the torch agent of `benchmarks.footprint` computes with, where `dreamshare[torch,grpc]` is.

The demo's VGG-like net, on the examples of the ONNX agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dreamshare.learning.data_arrays import ArrayFile
from dreamshare.learning.data_lazy import LazyData
from dreamshare.learning.torch import TorchLearner
from dreamshare.settings import Scalar
from dreamshare_cli.demo.nets import build
from dreamshare_edge.equipment import Equipment


def make_equipment(settings: Mapping[str, Scalar]) -> Equipment:
    """Return net and examples; `settings` names architecture, classes and the file of examples."""
    name = str(settings["architecture"])
    data = LazyData(ArrayFile(Path(str(settings["arrays"]))), held_out=0.1)
    learner = TorchLearner(build(name, 0), classes=int(settings["classes"]))
    return Equipment(learner, data, name)
