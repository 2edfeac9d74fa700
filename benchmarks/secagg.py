"""Claim: secure aggregation near the processor's limit, and many times faster than Flower's.

    python -m benchmarks.secagg [--json] [--out FILE] [--only masks,client,server,threads,loop]

Both sides run in this one call, on the same vectors, neighbours and drops. Flower (the release
pinned in benchmarks/peers) is installed beside, in an environment of its own, on the first run.
Costs are CPU time of single-threaded processes, except for the two-thread speed-up and the stalls
of the event loop, which want an otherwise idle machine with two cores. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")  # before numpy is loaded: one thread on both sides

import numpy as np  # noqa: E402
from benchmarks import secagg_parts, secagg_server  # noqa: E402
from benchmarks.peers.environment import FLOWER, PeerMissing, run_peer  # noqa: E402

DIMS = 1_000_000
NEIGHBOURS = 30
THRESHOLD = 19
CLIENTS = 100
DROPPED = 10
CLIP = 8.0
LOOP_DIMS = 10_000_000

PARTS = ("masks", "client", "server", "threads", "loop")


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the table: a figure and what it is held to."""

    key: str
    text: str
    bound: float
    at_least: bool = True

    def holds(self, value: float) -> bool:
        """Say whether the figure keeps the claim."""
        return value >= self.bound if self.at_least else value <= self.bound


CLAIMS = (
    Claim("mask_vs_keystream", "masks, share of the bare keystream's speed", 0.75),
    Claim("client_vs_flower.lanes2", "client masking, times Flower's speed, 2-byte lanes", 8.0),
    Claim("client_vs_flower.lanes4", "client masking, times Flower's speed, 4-byte lanes", 5.0),
    Claim("server_vs_flower", "server unmasking, times Flower's speed", 30.0),
    Claim("bytes_per_coordinate", "upload, bytes a coordinate (q = 8)", 2.05, at_least=False),
    Claim("threads2_speedup", "masks on two threads, times one", 1.6),
    Claim("loop_stall_ms_p99", "event loop, 99th percentile of its stalls, ms", 50, at_least=False),
)


class Bench:
    """Runs the parts and keeps figures and raw seconds."""

    def __init__(self, repeat: int) -> None:
        self.repeat = repeat
        self.figures: dict[str, float] = {}
        self.raw: dict[str, object] = {}
        self._values = np.random.default_rng(0).normal(0.0, 1.0, DIMS)

    def masks(self) -> None:
        """Mask expansion against the bare keystream."""
        ours, bare = secagg_parts.mask_vs_keystream(NEIGHBOURS, 2 * DIMS, 3 * self.repeat)
        self.raw["masks"] = {"ours_cpu_s": ours, "keystream_cpu_s": bare}
        self.figures["mask_vs_keystream"] = min(bare) / min(ours)

    def client(self) -> None:
        """An update becomes a masked message, on both sides."""
        theirs = self._flower("client")
        seconds = median(theirs["mask_cpu_s"])
        raw: dict[str, object] = {"flower": theirs}
        for lanes, bits in (("lanes2", 8), ("lanes4", 16)):
            ours, sent = secagg_parts.client_masking(
                self._values, CLIP, bits, NEIGHBOURS, self.repeat
            )
            self.figures[f"client_vs_flower.{lanes}"] = seconds / median(ours)
            raw[lanes] = {"mask_cpu_s": ours, "bytes_per_coordinate": sent}
            if bits == 8:
                self.figures["bytes_per_coordinate"] = sent
        self.raw["client"] = raw

    def server(self) -> None:
        """The answers are in: secrets, masks, the sum, on both sides."""
        ours = secagg_server.unmasking(
            DIMS, CLIP, CLIENTS, NEIGHBOURS, THRESHOLD, DROPPED, self.repeat
        )
        theirs = self._flower("server")
        self.figures["server_vs_flower"] = theirs["unmask_cpu_s"] / median(ours)
        self.raw["server"] = {"flower": theirs, "unmask_cpu_s": ours}

    def threads(self) -> None:
        """Two threads against one; wall time."""
        walls = secagg_parts.two_threads(NEIGHBOURS, 16 * DIMS, 4 * self.repeat)
        middle = {name: median(seconds) for name, seconds in walls.items()}
        self.figures["threads2_speedup"] = middle["one"] / middle["two"]
        reachable = middle["one"] / middle["two_processes"]
        self.raw["threads"] = {"wall_s": walls, "two_processes_speedup": reachable}

    def loop(self) -> None:
        """How long event loops stand still while a large vector is in the works.

        In a process of its own, whose memory is not what the other parts left behind.
        """
        command = [sys.executable, "-m", "benchmarks.loop_stall", "--json"]
        command += ["--coordinates", str(LOOP_DIMS)]
        stalls = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        self.raw["loop"] = stalls
        self.figures["loop_stall_ms_p99"] = stalls["loop_stall_ms_p99"]

    def _flower(self, part: str) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            values = Path(folder) / "values.npy"
            np.save(values, self._values)
            return run_peer(
                FLOWER,
                "flower_secagg.py",
                {
                    "values": str(values),
                    "clip": CLIP,
                    "neighbours": NEIGHBOURS,
                    "threshold": THRESHOLD,
                    "clients": CLIENTS,
                    "dropped": DROPPED,
                    "repeat": self.repeat,
                    "parts": [part],
                },
            )


def nested(figures: dict[str, float]) -> dict[str, object]:
    """Return the figures with dotted keys as objects."""
    tree: dict[str, object] = {}
    for key, value in figures.items():
        head, _, tail = key.partition(".")
        if tail:
            branch = tree.setdefault(head, {})
            assert isinstance(branch, dict)
            branch[tail] = value
        else:
            tree[head] = value
    return tree


def table(figures: dict[str, float]) -> list[str]:
    """Return the figures beside their claims, for readers."""
    lines = []
    for claim in CLAIMS:
        if claim.key in figures:
            value = figures[claim.key]
            relation = ">=" if claim.at_least else "<="
            verdict = "" if claim.holds(value) else "   DOES NOT HOLD"
            lines.append(f"{claim.text:58} {value:9.2f}  ({relation} {claim.bound:g}){verdict}")
    return lines


def main() -> int:
    """Run the parts; return 0 when every claim that was measured holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--out", type=Path, help="write the JSON object to a file too")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    bench = Bench(arguments.repeat)
    steps: dict[str, Callable[[], None]] = {name: getattr(bench, name) for name in PARTS}
    for name in wanted:
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        try:
            steps[name]()
        except PeerMissing as missing:
            print(f"{name}: {missing}. Measure the rest with --only.", file=sys.stderr)
            return 2
    held = all(c.holds(bench.figures[c.key]) for c in CLAIMS if c.key in bench.figures)
    record = {
        **nested(bench.figures),
        "held": held,
        "raw": bench.raw,
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "versions": {name: version(name) for name in ("dreamshare", "numpy", "cryptography")},
    }
    text = json.dumps(record, indent=None if arguments.json else 1)
    print(text if arguments.json else "\n".join(table(bench.figures)))
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
