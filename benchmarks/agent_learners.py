"""What the agents of `benchmarks.agent_kills` compute with: one kind of learner for a whole run.

    sample   softmax regression in numpy: a store is written every few milliseconds
    onnx     the demo's nets by onnxruntime, from the bundles that it ships
    torch    the same nets by torch

Rules:
- examples are the sample learner's, made up; a kind is named by a file in the run's folder, because
  agents are processes that are started anew after each kill;
- one compute thread: an undisturbed run has to give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from dreamshare.learning.base import Learner
from dreamshare_cli.demo.setting import ARCHITECTURES
from dreamshare_edge import Equipment
from dreamshare_edge.sample import make_equipment

RUNTIMES = ("sample", "onnx", "torch")
CLASSES = 10

_FILE = "runtime"


def choose(home: Path, runtime: str) -> None:
    """Name the kind of learner that agents under `home` compute with."""
    (home / _FILE).write_text(runtime, encoding="ascii")


def chosen(home: Path) -> str:
    """Return the kind that was named."""
    return (home / _FILE).read_text(encoding="ascii")


def equipment(home: Path, number: int) -> Equipment:
    """Return learner and examples of a device; each has another net."""
    sample = make_equipment({"seed": number})
    learner = _learner(chosen(home), number)
    return sample if learner is None else Equipment(learner, sample.data)


def _learner(runtime: str, number: int) -> Learner | None:
    architecture = ARCHITECTURES[number % len(ARCHITECTURES)]
    match runtime:
        case "onnx":
            from dreamshare.learning.onnx import OnnxLearner
            from dreamshare_cli.demo.bundles import demo_bundle

            return OnnxLearner(demo_bundle(architecture))
        case "torch":
            import torch

            from dreamshare.learning.torch import TorchLearner
            from dreamshare_cli.demo.nets import build

            torch.set_num_threads(1)
            return TorchLearner(build(architecture, number), classes=CLASSES)
        case _:
            return None
