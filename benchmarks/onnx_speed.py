"""Claim: on small convolutional nets, exported graphs take about the time of eager torch.

    python -m benchmarks.onnx_speed [--nets SmallCNN,LeNet-avg] [--calls 15] [--batch 32] [--json]

Dream gradient at most `DREAM` times, training step (Adam, local examples) at most `STEP` times the
CPU time of `TorchLearner`'s own code, one thread, medians; the two take turns in one process, so
that whatever else the machine does falls on both. MobileNet-like is printed and claims nothing.

Rules:
- CPU time of the process, not wall time; calls that warm up are left out;
- both sides get numpy arrays and give numpy arrays.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from benchmarks.onnx_nets import COVERED, build
from benchmarks.rig import machine

from dreamshare.learning.base import Batch
from dreamshare.learning.export import ExportSettings, compile  # noqa: A004
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx import Runtime
from dreamshare.learning.onnx.calls import dream_feeds
from dreamshare.learning.onnx.training import Training, TrainState
from dreamshare.learning.torch import TorchLearner

DREAM, STEP = 1.1, 1.3
CLAIMED = ("SmallCNN", "LeNet-avg", "LeNet-max", "ResNet-20")
PRINTED = ("MobileNet-like",)
WARM_UP = 3


def measure(name: str, batch: int, calls: int) -> dict[str, float]:
    """Return medians in milliseconds, their ratios and the bundle's size for one net."""
    covered = COVERED[name]
    bundle = compile(build(name), covered.shape, classes=covered.classes, settings=ExportSettings())
    learner = TorchLearner(build(name), classes=covered.classes)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *covered.shape)).astype(np.float32)
    y = rng.integers(0, covered.classes, batch)
    dream = DreamObjective(labels_B=y)
    program = bundle.open("dream_grad", bundle.weights(), Runtime(arena=True))
    training = Training(bundle, Runtime(arena=True))
    state = TrainState(bundle.weights())
    step, objective = (Batch(x, y),), FitObjective(optimizer="adam")

    def train_torch() -> None:
        learner.fit([step], objective)

    feeds = dream_feeds(bundle.manifest, x, dream)
    dreams = _turns(lambda: learner.input_gradient(x, dream), lambda: program.run(feeds), calls)
    steps = _turns(train_torch, lambda: training.step(state, step, objective), calls)
    return {
        "dream_torch_ms": dreams[0],
        "dream_onnx_ms": dreams[1],
        "dream_ratio": dreams[1] / dreams[0],
        "step_torch_ms": steps[0],
        "step_onnx_ms": steps[1],
        "step_ratio": steps[1] / steps[0],
        "bundle_kb": len(bundle.to_bytes()) / 1e3,
    }


def _turns(
    first: Callable[[], object], second: Callable[[], object], calls: int
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP + calls):
        for spent, call in zip(times, (first, second), strict=True):
            began = time.process_time()
            call()
            spent.append(1e3 * (time.process_time() - began))
    return median(times[0][WARM_UP:]), median(times[1][WARM_UP:])


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nets", default=",".join((*CLAIMED, *PRINTED)))
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in asked.nets.split(","):
        found[name] = measure(name, asked.batch, asked.calls)
        line = ", ".join(f"{key} {value:.2f}" for key, value in found[name].items())
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    holds = all(
        figures["dream_ratio"] <= DREAM and figures["step_ratio"] <= STEP
        for name, figures in found.items()
        if name in CLAIMED
    )
    if asked.json:
        print(json.dumps({"holds": holds, "nets": found, "batch": asked.batch, **machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
