"""Claim: in the demo, sharing dreams under masks beats training alone, on five seeds.

    python -m benchmarks.demo_gain [--seeds 0,1,2,3,4] [--devices 4] [--out demo_gain.json]

Runs `dreamshare demo --json` once per seed: real processes, real masked sums, real test digits on
which no choice was made. Prints every seed, mean and spread, and writes JSON with the machine and
the versions. Takes about a minute a seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev

GAIN_OVER_INDEPENDENT = 4.0
GAIN_OVER_BALANCED = 2.0
FIGURES = ("mean_independent", "mean_balanced", "mean_codream", "seconds")


def run_demo(seed: int, devices: int) -> dict[str, float]:
    """Return the figures of one demo; raises CalledProcessError when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "dreamshare_cli", "demo", "--json"),
            *("--seed", str(seed), "--devices", str(devices), "--out", f"{folder}/demo"),
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout)
    if not result["secure_aggregation"]:
        raise SystemExit(f"seed {seed}: the demo could not confirm that its sums were masked")
    return {"seed": float(seed), **{name: float(result[name]) for name in FIGURES}}


def gains(rows: Sequence[dict[str, float]], baseline: str) -> list[float]:
    """Return mean_codream minus a baseline, in points, per seed."""
    return [row["mean_codream"] - row[baseline] for row in rows]


def spread(values: Sequence[float]) -> str:
    """Return 'mean +- standard deviation (least to most)'."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{fmean(values):+.1f} +- {deviation:.1f} ({min(values):+.1f} to {max(values):+.1f})"


def main() -> int:
    """Run every seed; return 0 when the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("demo_gain.json"))
    arguments = parser.parse_args()
    rows = []
    print(f"{'seed':>6} {'alone':>7} {'histogram':>10} {'codream':>8} {'seconds':>8}")
    for seed in arguments.seeds.split(","):
        row = run_demo(int(seed), arguments.devices)
        rows.append(row)
        print(
            f"{int(seed):6d} {row['mean_independent']:7.1f} {row['mean_balanced']:10.1f} "
            f"{row['mean_codream']:8.1f} {row['seconds']:8.1f}",
            flush=True,
        )
    over_independent = gains(rows, "mean_independent")
    over_balanced = gains(rows, "mean_balanced")
    print(f"gain over independent:          {spread(over_independent)} points")
    print(f"gain over label histogram only: {spread(over_balanced)} points")
    held = (
        fmean(over_independent) >= GAIN_OVER_INDEPENDENT
        and fmean(over_balanced) >= GAIN_OVER_BALANCED
    )
    record = {
        "claim": "mean gain >= 4 points over independent, >= 2 over label histogram only",
        "held": held,
        "devices": arguments.devices,
        "rows": rows,
        "machine": {"platform": platform.platform(), "processor": platform.machine()},
        "versions": {name: version(name) for name in ("dreamshare", "numpy", "torch")},
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"claim {'holds' if held else 'DOES NOT HOLD'}; written to {arguments.out}")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
