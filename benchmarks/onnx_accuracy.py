"""Claim: exported graphs lose at most four times what torch's own float32 loses.

    python -m benchmarks.onnx_accuracy [--nets MLP,ViT] [--batches 20] [--sizes 1,5,32] [--json]

For every covered net (`benchmarks.onnx_nets`), graph and batch size: the median over fresh batches
of the largest error against torch in float64, relative to the largest value, beside the same of
torch in float32; and the maximum. Batch 1 is left out where torch itself refuses to train on it.
Training steps are on a local batch and on dreams at once, from fresh optimiser state.

Rules:
- a row holds where its median is at most `FACTOR` times torch's, or below `ROUNDINGS`;
- `holds` is true where every row does; nets that are refused are listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.onnx_nets import COVERED, build
from benchmarks.rig import machine

from dreamshare.learning.export import ExportError, ExportSettings, compile  # noqa: A004
from dreamshare.learning.export.check import CHECKED, FACTOR, compare

ROUNDINGS = 1e-6
"""Errors that are a few roundings of float32, whatever torch loses by luck."""
SIZES = (1, 5, 32)


@dataclass(frozen=True, slots=True)
class Row:
    """One net, graph and batch size.

    Attributes:
        net: its name.
        graph: its name.
        batch: examples.
        error: median of the graph's.
        torch: median of torch's in float32.
        worst: the graph's largest.
        torch_worst: torch's largest.
        holds: whether the claim does.
    """

    net: str
    graph: str
    batch: int
    error: float
    torch: float
    worst: float
    torch_worst: float
    holds: bool


def rows_of(name: str, sizes: Sequence[int], batches: int) -> list[Row]:
    """Return the rows of one net.

    Raises:
        ExportError: it cannot be exported.
    """
    covered = COVERED[name]
    net = build(name)
    bundle = compile(
        net, covered.shape, classes=covered.classes, settings=ExportSettings(batches=3)
    )
    rows = []
    for graph in CHECKED:
        for size in sizes:
            try:
                found = compare(bundle, net, graph, size=size, batches=batches, seed=100)
            except ValueError as error:  # torch: more than 1 value per channel when training
                if size > 1 or "more than 1 value" not in str(error):
                    raise
                continue
            ours, torchs = median(found.onnx), median(found.torch)
            holds = ours <= max(FACTOR * torchs, ROUNDINGS)
            worst, torch_worst = max(found.onnx), max(found.torch)
            rows.append(Row(name, graph, size, ours, torchs, worst, torch_worst, holds))
    return rows


def main() -> int:
    """Print the table; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nets", default=",".join(COVERED))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    rows: list[Row] = []
    refused: dict[str, str] = {}
    for name in asked.nets.split(","):
        try:
            found = rows_of(name, sizes, asked.batches)
        except ExportError as error:
            refused[name] = str(error)
            print(f"{name}: refused: {error}", file=sys.stderr)
            continue
        rows += found
        for row in found:
            line = f"{row.net:15} {row.graph:11} {row.batch:3} median {row.error:.1e} torch "
            line += f"{row.torch:.1e} maximum {row.worst:.1e} torch {row.torch_worst:.1e}"
            print(line, "" if row.holds else "ABOVE", file=sys.stderr, flush=True)
    holds = all(row.holds for row in rows)
    if asked.json:
        table = [asdict(row) for row in rows]
        print(json.dumps({"holds": holds, "rows": table, "refused": refused, **machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
