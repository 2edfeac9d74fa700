"""Claim: exported graphs lose at most four times what torch's own float32 loses.

    python -m benchmarks.onnx_accuracy [--nets MLP,ViT] [--batches N] [--sizes 1,5,32] [--json]
    python -m benchmarks.onnx_accuracy --into benchmarks/results/onnx_accuracy.json

For every covered net (`benchmarks.onnx_nets`), graph and batch size: the median over fresh batches
of the largest error against torch in float64, relative to the largest value
(`dreamshare.learning.export.comparing`), beside the same of torch in float32; and the maximum.
Batch 1 is left out where torch itself refuses to train on it. Training steps are on a local batch
and on dreams at once, from fresh optimiser state.

Rules:
- a row holds where its median is at most `FACTOR` times torch's; `holds` is true where every row
  does; nets that are refused are listed with the reason;
- `--into` writes after every net, and measures no net again whose graphs, settings and versions are
  those of the figures in the file: a run that was cut goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.onnx_nets import COVERED, build
from benchmarks.rig import machine

from dreamshare.learning.export import (
    ExportError,
    ExportSettings,
    comparing,
    compile,  # noqa: A004
)
from dreamshare.learning.export.cache import write_whole
from dreamshare.learning.export.check import checked
from dreamshare.learning.export.comparing import FACTOR, compare
from dreamshare.learning.onnx.bundle import Bundle

SIZES = (1, 5, 32)
MEASURING = comparing.__file__


@dataclass(frozen=True, slots=True)
class Row:
    """One graph and batch size of a net.

    Attributes:
        graph: its name.
        batch: examples.
        error: median of the graph's.
        torch: median of torch's in float32.
        worst: the graph's largest.
        torch_worst: torch's largest.
        holds: whether the claim does.
    """

    graph: str
    batch: int
    error: float
    torch: float
    worst: float
    torch_worst: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one net.

    Attributes:
        key: hash of what the figures depend on.
        rows: empty where it is refused.
        refused: why, or "".
    """

    key: str
    rows: tuple[Row, ...]
    refused: str = ""


def exported(name: str) -> Bundle:
    """Return the bundle of a covered net.

    Raises:
        ExportError: it cannot be exported.
    """
    covered = COVERED[name]
    settings = ExportSettings(batches=3)
    return compile(build(name), covered.shape, classes=covered.classes, settings=settings)


def rows_of(name: str, bundle: Bundle, sizes: Sequence[int], batches: int) -> tuple[Row, ...]:
    """Return the rows of one net."""
    net = build(name)
    rows = []
    for graph in checked(bundle):
        for size in sizes:
            try:
                found = compare(bundle, net, graph, size=size, batches=batches, seed=100)
            except ValueError as error:  # torch: more than 1 value per channel when training
                if size > 1 or "more than 1 value" not in str(error):
                    raise
                continue
            ours, torchs = median(found.onnx), median(found.torch)
            worst, torch_worst = max(found.onnx), max(found.torch)
            holds = ours <= FACTOR * torchs
            rows.append(Row(graph, size, ours, torchs, worst, torch_worst, holds))
    return tuple(rows)


def measured(
    name: str, sizes: Sequence[int], batches: int, before: Measured | None = None
) -> Measured:
    """Return what is found of one net, a refusal included; `before` where it would be the same."""
    try:
        bundle = exported(name)
    except ExportError as error:
        return Measured("", (), str(error))
    digest = hashlib.sha256(f"{bundle.manifest.model} {sizes} {batches}".encode())
    digest.update(Path(MEASURING).read_bytes())
    for package in ("torch", "onnxruntime", "numpy"):
        digest.update(version(package).encode())
    key = digest.hexdigest()
    return (
        before
        if before and before.key == key
        else Measured(key, rows_of(name, bundle, sizes, batches))
    )


def read_results(path: Path) -> dict[str, Measured]:
    """Return the nets of a file that `--into` wrote; empty where there is none."""
    if not path.exists():
        return {}
    nets = json.loads(path.read_text())["nets"]
    return {
        name: Measured(each["key"], tuple(Row(**row) for row in each["rows"]), each["refused"])
        for name, each in nets.items()
    }


def report(nets: dict[str, Measured]) -> dict[str, object]:
    """Return the JSON object of `nets`."""
    holds = all(row.holds for each in nets.values() for row in each.rows)
    return {"holds": holds, "nets": {n: asdict(each) for n, each in nets.items()}, **machine()}


def show(name: str, found: Measured) -> None:
    """Print a net's rows."""
    if found.refused:
        print(f"{name}: refused: {found.refused}", file=sys.stderr, flush=True)
    for row in found.rows:
        line = f"{name:15} {row.graph:11} {row.batch:3} median {row.error:.1e} torch "
        line += f"{row.torch:.1e} maximum {row.worst:.1e} torch {row.torch_worst:.1e}"
        print(line, "" if row.holds else "ABOVE", file=sys.stderr, flush=True)


def main() -> int:
    """Print the table; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nets", default=",".join(COVERED))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--batches", type=int, help="instead of each net's own number, 20 or 60")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    chosen = asked.nets.split(",")
    nets = read_results(asked.into) if asked.into else {}
    for name in chosen:
        nets[name] = measured(name, sizes, asked.batches or COVERED[name].batches, nets.get(name))
        show(name, nets[name])
        if asked.into:
            nets = {n: nets[n] for n in COVERED if n in nets}
            write_whole(asked.into, (json.dumps(report(nets), indent=1) + "\n").encode())
    if asked.json:
        print(json.dumps(report(nets)))
    return 0 if all(row.holds for name in chosen for row in nets[name].rows) else 1


if __name__ == "__main__":
    sys.exit(main())
