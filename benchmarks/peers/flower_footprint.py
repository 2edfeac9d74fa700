"""What a SuperNode of Flower takes of its machine; runs in an environment of its own.

    python benchmarks/peers/flower_footprint.py SETTING.json   (called by benchmarks.footprint)

The deployment and the app are those of `flower_deployment`: SecAgg+ among three SuperNodes, whose
clients answer `x + c` and learn nothing, in clear on loopback. A SuperNode is measured with the
processes that it starts: by their default one that waits for work, and one for each answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from flower_deployment import deployed, rounds_of
from usage import Peak, idle

SETTLE_S = 5.0
QUIET_PERCENT = 2.0
PATIENCE_S = 180.0


def await_quiet(nodes: list[subprocess.Popen[bytes]]) -> None:
    """Return when every node has started what it starts, and does nothing more."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        found = [idle(node.pid, SETTLE_S) for node in nodes]
        busy = max(each["idle_cpu_percent"] for each in found)
        if busy < QUIET_PERCENT and min(each["processes"] for each in found) > 1:
            return
    raise SystemExit("their SuperNodes do not come to rest")


def main() -> None:
    """Print the figures as one JSON object; of each, the largest of the three nodes."""
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    window_s = setting["window_s"]
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder), setting) as deployment:
        await_quiet(deployment.nodes)
        waiting = [idle(node.pid, window_s) for node in deployment.nodes]
        with ExitStack() as stack:
            peaks = [stack.enter_context(Peak(node.pid)) for node in deployment.nodes]
            rounds_of(deployment, setting)
        time.sleep(SETTLE_S)
        after = [idle(node.pid, window_s) for node in deployment.nodes]
    found = {name: max(each[name] for each in waiting) for name in waiting[0]}
    for name in ("idle_mb", "idle_private_mb", "idle_cpu_percent"):
        found[name.replace("idle", "after")] = max(each[name] for each in after)
    print(json.dumps({**found, "peak_mb": max(p.mb for p in peaks), "version": version("flwr")}))


if __name__ == "__main__":
    main()
