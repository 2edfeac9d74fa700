"""Claim: each part of the CoDream setting earns its place; measured by leaving it out.

    python -m benchmarks.codream_digits [--rows default,no-features] [--seeds 100,101,102,103,104]
                                        [--devices 4] [--out codream_digits.json]

Digits of the demo in one process with exact sums, quantised as the encoding does, so no protocol is
measured here (`benchmarks.demo_gain` does that). Every figure is on *validation* digits: this is
where the setting was chosen. Takes about half a minute of CPU a row and seed pair.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from dreamshare.algorithms.baselines import balanced, independent
from dreamshare.algorithms.codream import Codream, CodreamConfig, student_logits
from dreamshare.learning.measures import measure
from dreamshare.learning.torch import TorchLearner
from dreamshare_cli.demo import nets
from dreamshare_cli.demo.digits import device_data
from dreamshare_cli.demo.setting import architecture_of, codream_config, net_seed
from tests.algorithms.oracle import Device, run

Change = str | int | float | bool

GENERATOR: dict[str, Change] = {"form": "generator", "dream_bits": 8, "gradient_bits": 8}
ROWS: dict[str, dict[str, Change]] = {
    "default": {},
    "no-features": {"feature_weight": 0.0},
    "no-smoothness": {"smoothness": 0.0},
    "uniform": {"weighting": "uniform", "label_average": "mean_softmax"},
    "uniform-gradients": {"weighting": "uniform"},
    "mean-softmax-labels": {"label_average": "mean_softmax"},
    "mean-logits-labels": {"label_average": "mean_logits"},
    "entropy": {"objective": "entropy", "weighting": "uniform"},
    "entropy-diversity": {"objective": "entropy", "weighting": "uniform", "diversity": 1.0},
    "not-balanced": {"balanced": False},
    "no-replay": {"replay": 60},
    "running-norm": {"distillation_norm": "running"},
    "noise-dreams": {"dream_steps": 1, "dream_rate": 1e-6},
    "10-steps": {"dream_steps": 10},
    "5-steps-of-4": {"dream_steps": 5, "local_steps": 4, "local_rate": 0.05},
    "12-bits": {"gradient_bits": 12},
    "8-bits": {"gradient_bits": 8},
    "bytes": {"dream_bits": 8, "gradient_bits": 8},
    "bytes-5-steps": {"dream_bits": 8, "gradient_bits": 8, "dream_steps": 5},
    "bytes-3-steps": {"dream_bits": 8, "gradient_bits": 8, "dream_steps": 3},
    "generator-15-steps": {**GENERATOR, "dream_steps": 15},
    "generator-5-steps": {**GENERATOR, "dream_steps": 5},
    "generator-3-steps": {**GENERATOR, "dream_steps": 3},
    "student": {"student": "small"},
    "jsd": {"student": "small", "adversarial": "jsd"},
    "masked-kl": {"student": "small", "adversarial": "masked_kl"},
    "server-entropy": {"student": "small", "adversarial": "server_entropy"},
    "personal-training": {"acquisition": "training"},
}


@dataclass(slots=True)
class Row:
    """Figures of one setting; lists hold one entry per seed, accuracies in percent."""

    codream: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)
    curve: list[list[float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    student: list[float] = field(default_factory=list)


def learner(seed: int, device: int) -> TorchLearner:
    """Return the learner that the demo's device would start with."""
    net = nets.build(architecture_of(device), net_seed(seed, device))
    return TorchLearner(net, classes=10)


def mean_accuracy(devices: list[Device]) -> float:
    """Return the devices' mean accuracy on what they hold out, percent."""
    return 100 * fmean(measure(d.learner, d.data.held_out()).accuracy for d in devices)


def codream(config: CodreamConfig, seed: int, count: int, row: Row) -> None:
    """Run one setting on one seed and add its figures to `row`."""
    devices = [
        Device(
            learner(seed, i),
            device_data(i, count, seed, validation=True),
            np.random.default_rng([seed, i]),
        )
        for i in range(count)
    ]
    curve: list[float] = []
    began = time.process_time()
    seen = run(
        Codream(config),
        devices,
        quantise=np.random.default_rng(seed),
        after=lambda plan: (
            curve.append(mean_accuracy(devices)) if plan.step in ("warm_up", "acquire") else None
        ),
    )
    done = seen.done
    row.up.append(seen.bytes_up)
    row.down.append(seen.bytes_down)
    if config.student != "none":
        held = devices[0].data.held_out()
        said = student_logits(config, done.result, held.x_NCHW).argmax(axis=1)
        row.student.append(100 * float((said == held.y_N).mean()))
    row.cpu.append(time.process_time() - began)
    row.curve.append(curve)
    row.codream.append(curve[-1])
    row.clipped.append(done.metrics["clipped"])


def alone(config: CodreamConfig, seed: int, count: int) -> tuple[float, float]:
    """Return the mean accuracies of independent and of balanced training, percent."""
    means = []
    for baseline in (independent, balanced):
        devices = []
        for i in range(count):
            data = device_data(i, count, seed, validation=True)
            device = Device(learner(seed, i), data, np.random.default_rng([seed, i]))
            for _ in baseline(config, device.learner, data, device.rng):
                pass
            devices.append(device)
        means.append(mean_accuracy(devices))
    return means[0], means[1]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--seeds", default="100,101,102,103,104")
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("codream_digits.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    base = {seed: codream_config(seed, arguments.cycles) for seed in seeds}
    rows_alone = [alone(base[seed], seed, arguments.devices) for seed in seeds]
    print(f"independent {fmean(a for a, _ in rows_alone):.1f}", end=", ")
    print(f"label histogram only {fmean(b for _, b in rows_alone):.1f}")
    rows: dict[str, Row] = {}
    for name in arguments.rows.split(","):
        row = rows[name] = Row()
        for seed in seeds:
            codream(replace(base[seed], **ROWS[name]), seed, arguments.devices, row)
        curve = " ".join(f"{fmean(at):.1f}" for at in zip(*row.curve, strict=True))
        print(
            f"{name:20s} {fmean(row.codream):5.1f}  worst seed {min(row.codream):5.1f}  "
            f"clipped {max(row.clipped):.4f}  {fmean(row.cpu):5.1f} CPU s  "
            f"kB down {fmean(row.down) / 1e3:.0f} up {fmean(row.up) / 1e3:.0f}  curve {curve}"
            + (f"  student {fmean(row.student):.1f}" if row.student else ""),
            flush=True,
        )
    record = {
        "seeds": seeds,
        "devices": arguments.devices,
        "independent": [a for a, _ in rows_alone],
        "balanced": [b for _, b in rows_alone],
        "rows": {
            name: {
                "codream": r.codream,
                "student": r.student,
                "clipped": r.clipped,
                "curve": r.curve,
                "cpu": r.cpu,
                "up": r.up,
                "down": r.down,
            }
            for name, r in rows.items()
        },
        "machine": {"platform": platform.platform(), "processor": platform.machine()},
        "versions": {name: version(name) for name in ("dreamshare", "numpy", "torch")},
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
