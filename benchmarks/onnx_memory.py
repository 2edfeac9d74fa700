"""Claim: a run of a graph needs no more memory than its bundle says.

    python -m benchmarks.onnx_memory [--nets SmallCNN,ViT] [--sizes 64,256] [--json]

For each covered net, graph and batch size: what the process's memory grew by, at its peak, in a run
after a small one (VmHWM after a reset, no memory arena), beside the bundle's estimate
(`dreamshare.learning.export.memory`). Each row is a process of its own. `holds` is true where no
run needed more than 1.1 times the estimate and 4 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.onnx_nets import COVERED, build
from benchmarks.rig import machine

from dreamshare.learning.base import Batch
from dreamshare.learning.export import ExportSettings, compile  # noqa: A004
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx import OnnxLearner, read_bundle

GRAPHS = ("logits", "dream_grad", "train_sgd", "train_adam")
NETS = ("MLP", "Conv1d", "LeNet-max", "SmallCNN", "GroupNorm", "ViT")
_MB = 1 << 20


def status(key: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def measure(bundle: Path, graph: str, size: int) -> float:
    """Return the megabytes that one run of a batch adds to this process."""
    given = read_bundle(bundle)
    learner = OnnxLearner(given)

    def run(count: int) -> None:
        x = np.zeros((count, *given.manifest.shape), np.float32)
        match graph:
            case "logits":
                learner.logits(x)
            case "dream_grad":
                learner.input_gradient(x, DreamObjective(feature_weight=0.0))
            case _:
                kind = "sgd" if graph == "train_sgd" else "adam"
                batch = Batch(x, np.zeros(count, np.int64))
                learner.fit([(batch,)], FitObjective(optimizer=kind))

    run(2)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    run(size)
    return (status("VmHWM") - before) / _MB


def rows(net: str, sizes: list[int]) -> list[dict[str, object]]:
    """Return a net's rows; each is measured in a process of its own."""
    covered = COVERED[net]
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.dream"
        settings = ExportSettings(batches=1)
        made = compile(build(net), covered.shape, classes=covered.classes, settings=settings)
        path.write_bytes(made.to_bytes())
        for graph in GRAPHS:
            entry = made.manifest.graphs[graph]
            for size in sizes:
                command = [sys.executable, "-m", "benchmarks.onnx_memory", "--one"]
                told = subprocess.run(
                    [*command, f"{path},{graph},{size}"], check=True, capture_output=True, text=True
                )
                estimate = (entry.fixed_bytes + size * entry.example_bytes) / _MB
                row: dict[str, object] = {"net": net, "graph": graph, "batch": size}
                row["measured_mb"] = round(float(told.stdout), 1)
                row["estimate_mb"] = round(estimate, 1)
                row["holds"] = float(told.stdout) <= 1.1 * estimate + 4
                found.append(row)
    return found


def main() -> int:
    """Run the benchmark; return 0 when the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--sizes", default="64,256")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        bundle, graph, size = options.one.split(",")
        print(measure(Path(bundle), graph, int(size)))
        return 0
    found = []
    for net in options.nets.split(","):
        for row in rows(net, [int(size) for size in options.sizes.split(",")]):
            found.append(row)
            if not options.json:
                print(*row.values(), sep="\t", flush=True)
    holds = all(row["holds"] for row in found)
    if options.json:
        print(json.dumps({"machine": machine(), "rows": found, "holds": holds}, indent=1))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
