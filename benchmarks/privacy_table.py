"""Claim: which tasks can have noise that means something, and which cannot; docs/privacy.md.

    python -m benchmarks.privacy_table [--epsilon 8] [--delta 1e-5] [--json]

For each task: the noise multiplier that keeps all its sums within epsilon at delta, and the norm of
that noise over the norm of the longest sum there can be (every device sends the same clipped
vector). Above 1 a sum is mostly noise. Nothing is measured: it is arithmetic, done in a second.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from dreamshare.privacy import Crowd, Privacy, plan_noise

CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """What is summed, how often, over how many honest devices at least."""

    what: str
    dims: int
    sums: int
    honest: int


TASKS = (
    *(Task("gradients of 256 dreams, 3 x 32 x 32", 786_432, 500, n) for n in (100, 1_000, 10_000)),
    *(Task("soft labels of 256 dreams, 10 classes", 2_560, sums, 100) for sums in (500, 20, 1)),
    Task("soft labels of 256 dreams, 10 classes", 2_560, 1, 30),
    Task("a model of 50,000 parameters", 50_000, 100, 100),
    Task("a model of 50,000 parameters", 50_000, 100, 10_000),
    *(Task("accuracy, loss and count", 3, sums, 30) for sums in (100, 1)),
    Task("accuracy, loss and count", 3, 1, 8),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    privacy = Privacy(CLIP, epsilon=asked.epsilon, delta=asked.delta)
    if not asked.json:
        print("| what is summed | numbers | sums | honest devices | multiplier | noise / sum |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for task in TASKS:
        plan = plan_noise(task.dims, task.sums, Crowd(task.honest, task.honest), privacy)
        row = {
            "what": task.what,
            "dims": task.dims,
            "sums": task.sums,
            "honest": task.honest,
            "multiplier": plan.multiplier,
            "noise_to_signal": plan.noise_to_signal,
            "epsilon": plan.epsilon,
            "delta": plan.delta,
            "bytes_a_coordinate": plan.bytes_a_coordinate,
        }
        if asked.json:
            print(json.dumps(row))
        else:
            print(
                f"| {task.what} | {task.dims:,} | {task.sums} | {task.honest:,} "
                f"| {plan.multiplier:.2f} | {plan.noise_to_signal:.3g} |"
            )


if __name__ == "__main__":
    main()
