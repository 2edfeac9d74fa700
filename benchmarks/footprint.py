"""Claim: an agent without torch is 12 distributions, 190 MB, 1.5 s of imports and 80 MB when idle,
or less.

    python -m benchmarks.footprint [--only onnx,onnx_mqtt,torch,flower] [--window 20] [--fresh]
                                   [--json]

Each in an environment of its own, made by venv and pip under `build/`, and made anew when sources
or pins have changed (`--fresh`: in any case): `dreamshare[onnx,grpc]`, `dreamshare[onnx,mqtt]`,
`dreamshare[torch,grpc]`, and Flower's release as its users install it. Memory and processor time
are those of real programs, read from /proc: three agents connected to a real aggregator over mutual
TLS, waiting, in a CoDream cycle of the demo's VGG-like net, and after it; and three SuperNodes
connected to a SuperLink in clear, waiting, and in a round of SecAgg+ whose clients learn nothing
(`benchmarks/peers/flower_footprint.py`).

Rules:
- MB are 10^6 bytes; `disk_mb` is what pip wrote, bytecode included; pip and setuptools of a new
  environment count for nobody;
- `import_s` is processor time; it holds the interpreter's start and everything that a running agent
  imports, onnxruntime too, although an agent that waits has not loaded it;
- the largest of three programs is told; a SuperNode is what it starts, too;
- nothing of torch, the exporter, the command or the aggregator may be found by the ONNX agent;
- a thread that takes a hundredth of a core while it waits, or more, counts as spinning.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.environments import import_seconds, python_with, weighed
from benchmarks.footprint_agents import AGENTS, watch_agents
from benchmarks.peers.environment import FLOWER, PeerMissing, python_of, run_peer
from benchmarks.rig import machine
from benchmarks.roads import RoadMissing, road

CLAIM: Mapping[str, float] = {
    "distributions": 12,
    "disk_mb": 190.0,
    "import_s": 1.5,
    "idle_mb": 80.0,
    "busiest_thread_percent": 1.0,
}
"""Largest figures of the ONNX agent over gRPC."""

UNWANTED = ("torch", "onnx", "safetensors", "sympy", "typer", "rich", "sqlalchemy", "starlette")
"""Nothing that an ONNX agent may find."""

_AGENT = (
    "import dreamshare_edge.__main__, dreamshare_edge.doctor\n"
    "from dreamshare_edge import EdgeAgent, LinuxConditions\n"
)
_GRPC = "from dreamshare import GrpcLink\n"
_MQTT = "from dreamshare import MqttLink\n"
_ONNX = "import dreamshare_edge.bundled, onnxruntime\n"
_TORCH = "from dreamshare import TorchLearner\n"
IMPORTS: Mapping[str, str] = {
    "onnx": _AGENT + _GRPC + _ONNX,
    "onnx_mqtt": _AGENT + _MQTT + _ONNX,
    "torch": _AGENT + _GRPC + _TORCH,
    "flower": "import flwr.supernode.cli, flwr.supernode.main",
}
"""What a running agent imports."""

EXTRAS: Mapping[str, str] = {
    "onnx": "onnx,grpc",
    "onnx_mqtt": "onnx,mqtt",
    "torch": "torch,grpc",
}
COORDINATES = 18_000
"""Of Flower's round: about as many as the VGG-like net has parameters."""


def measure(name: str, window_s: float, fresh: bool) -> dict[str, object]:
    """Return the figures of one agent.

    Raises:
        PeerMissing: it cannot be installed here.
        RoadMissing: its transport's service is not on this machine.
    """
    if name == "flower":
        python = python_of(FLOWER)
    else:
        way = road("mqtt" if name.endswith("mqtt") else "grpc")
        python = python_with(EXTRAS[name], fresh)
    held = weighed(python, UNWANTED if name.startswith("onnx") else ())
    figures = {**held, **import_seconds(python, IMPORTS[name])}
    if name == "flower":
        return figures | run_peer(FLOWER, "flower_footprint.py", flower_setting(window_s))
    with tempfile.TemporaryDirectory() as home:
        kind = name.partition("_")[0]
        found = asyncio.run(watch_agents(python, kind, way, window_s, Path(home)))
    return figures | {key: round(value, 3) for key, value in found.items()}


def flower_setting(window_s: float) -> dict[str, object]:
    """Return what Flower's side is told."""
    return {
        "devices": AGENTS,
        "coordinates": COORDINATES,
        "rounds": 1,
        "shares": 3,
        "threshold": 2,
        "patience_s": 200,
        "window_s": window_s,
    }


WATCHED = (
    *("idle_mb", "idle_private_mb", "idle_pss_mb", "idle_cpu_percent", "busiest_thread_percent"),
    *("wakeups_per_s", "threads", "processes", "peak_mb"),
    *("after_mb", "after_private_mb", "after_cpu_percent"),
)


def holds(figures: Mapping[str, object]) -> bool:
    """Say whether the claim holds for the ONNX agent."""
    return not figures["importable"] and all(
        float(str(figures[key])) <= most for key, most in CLAIM.items()
    )


def table(figures: Mapping[str, object]) -> str:
    """Return the figures for people, one agent a column."""
    columns = {name: found for name, found in figures.items() if isinstance(found, dict)}
    columns.pop("machine", None)
    keys = ("distributions", "disk_mb", "disk_blocks_mb", "import_s", "import_wall_s", *WATCHED)
    told = ([key, *(str(found.get(key, "")) for found in columns.values())] for key in keys)
    rows = [["", *columns], *told]
    return "\n".join(f"{row[0]:24}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows)


def main() -> int:
    """Print the figures; return 0 where the claim holds, 2 where something was not measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join(IMPORTS))
    parser.add_argument("--window", type=float, default=20.0)
    parser.add_argument("--fresh", action="store_true", help="make our environments anew")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures: dict[str, object] = {"window_s": asked.window}
    held, missing = True, False
    for name in asked.only.split(","):
        try:
            found = measure(name, asked.window, asked.fresh)
        except (PeerMissing, RoadMissing) as error:
            print(f"{name} is not measured: {error}", file=sys.stderr)
            missing = True
            continue
        print(f"{name}: {json.dumps(found)}", file=sys.stderr)
        figures[name] = found
        held = held and (name != "onnx" or holds(found))
    figures["machine"] = machine()
    print(json.dumps(figures) if asked.json else table(figures))
    return 1 if not held else 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
