"""Times rounds of Flower's SecAgg+ in its deployment; runs in an environment of its own.

    python benchmarks/peers/flower_deployment.py SETTING.json   (called by benchmarks.round_time)

Starts a SuperLink and N SuperNodes as their documentation says, on loopback and in clear, with an
app whose clients answer `x + c` and do nothing else, and lets a ServerApp run
`DefaultWorkflow(SecAggPlusWorkflow)`. A round is what passes between two centralised evaluations,
which do nothing but read the clock. Nothing is tuned; the installation of an app's dependencies at
each run's start, which would ask a package index, is switched off by their own option.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
PATIENCE_S = 60.0

PROJECT = """
[project]
name = "nothing"
version = "1.0.0"
description = "Rounds of doing nothing"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "nobody"

[tool.flwr.app.components]
serverapp = "nothing.server:app"
clientapp = "nothing.client:app"

[tool.flwr.app.config]
rounds = 1
devices = 3
coordinates = 10
shares = 3
threshold = 2
times = ""

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""

CLIENT = """
import numpy as np
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp


class Nothing(NumPyClient):
    def __init__(self, share):
        self.share = share

    def fit(self, parameters, config):
        return [parameters[0] + np.float32(self.share)], 1, {}


def client_fn(context):
    return Nothing(0.001 * (1 + context.node_config["number"])).to_client()


app = ClientApp(client_fn=client_fn, mods=[secaggplus_mod])
"""

SERVER = """
import json
import time

import numpy as np
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import Grid, LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    asked = context.run_config
    seen = []

    def look(number, parameters, config):
        seen.append([time.time(), float(parameters[0][0])])
        with open(asked["times"], "w") as file:
            json.dump(seen, file)

    strategy = FedAvg(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=asked["devices"],
        min_available_clients=asked["devices"],
        initial_parameters=ndarrays_to_parameters(
            [np.zeros(asked["coordinates"], dtype=np.float32)]
        ),
        evaluate_fn=look,
    )
    legacy = LegacyContext(
        context=context, config=ServerConfig(num_rounds=asked["rounds"]), strategy=strategy
    )
    fit = SecAggPlusWorkflow(asked["shares"], asked["threshold"])
    DefaultWorkflow(fit_workflow=fit)(grid, legacy)
"""


def lay_out(folder: Path, port: int) -> Path:
    """Write the app and the command's settings; return the app's folder."""
    app = folder / "app"
    (app / "nothing").mkdir(parents=True)
    (app / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (app / "nothing" / "__init__.py").write_text("", encoding="utf-8")
    (app / "nothing" / "client.py").write_text(CLIENT, encoding="utf-8")
    (app / "nothing" / "server.py").write_text(SERVER, encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n",
        encoding="utf-8",
    )
    return app


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Return when somebody listens on the port."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("their SuperLink does not listen")


class Processes:
    """Every process of the deployment, each the head of its own group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        unwanted = ("PYTHONPATH", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        quiet = {"FLWR_HOME": str(folder / "home"), "FLWR_TELEMETRY_ENABLED": "0"}
        self._environment = {**kept, **quiet, "PATH": f"{BIN}:{os.environ['PATH']}"}
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start one; its output goes to a file of this name."""
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End all of them, with what they started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._running:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    continue
            if number is signal.SIGTERM:
                time.sleep(2)
        for process in self._running:
            process.wait()


@dataclass
class Deployment:
    """What runs: the SuperNodes, and what a run of the app needs."""

    folder: Path
    app: Path
    processes: Processes
    nodes: list[subprocess.Popen[bytes]]


@contextmanager
def deployed(folder: Path, setting: dict) -> Iterator[Deployment]:
    """Run a SuperLink and its SuperNodes as long as the block does."""
    port = free_port()
    app = lay_out(folder, port)
    processes = Processes(folder)
    at = ("--host", "127.0.0.1", "--port")
    try:
        no_index = "--disable-runtime-dependency-installation"
        processes.start("superlink", "flower-superlink", "--insecure", no_index, *at, str(port))
        await_port(port)
        nodes = []
        for number in range(setting["devices"]):
            link = ("--insecure", "--superlink", f"127.0.0.1:{port}", *at, str(free_port()))
            node = ("--node-config", f"number={number}")
            nodes.append(processes.start(f"node-{number}", "flower-supernode", *link, *node))
        yield Deployment(folder, app, processes, nodes)
    finally:
        processes.stop()


def rounds_of(deployment: Deployment, setting: dict) -> list[list[float]]:
    """Run the rounds; return the moment and the first coordinate at each round's end."""
    times = deployment.folder / "times.json"
    config = " ".join(
        f"{name}={setting[name]}"
        for name in ("rounds", "devices", "coordinates", "shares", "threshold")
    )
    asked = ("--run-config", f'{config} times="{times}"')
    run = deployment.processes.start("run", "flwr", "run", str(deployment.app), "here", *asked)
    run.wait(PATIENCE_S)
    ends = time.monotonic() + setting["patience_s"]
    seen: list[list[float]] = []
    while len(seen) <= setting["rounds"]:
        if time.monotonic() > ends:
            done = max(0, len(seen) - 1)
            raise SystemExit(f"only {done} rounds ended: {tails(deployment.folder)}")
        time.sleep(0.5)
        try:
            seen = json.loads(times.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # not there yet, or being written
    return seen


def tails(folder: Path) -> str:
    """Return the last line of every log."""
    lines = {log.stem: log.read_text(errors="replace").splitlines() for log in folder.glob("*.log")}
    return "; ".join(f"{name}: {some[-1]}" for name, some in sorted(lines.items()) if some)


def main() -> None:
    """Print the figures as one JSON object."""
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder), setting) as deployment:
        seen = rounds_of(deployment, setting)
    rounds_s = [after[0] - before[0] for before, after in itertools.pairwise(seen)]
    share = 0.001 * (1 + setting["devices"]) / 2  # what a round adds to every coordinate
    off = abs(seen[-1][1] - share * setting["rounds"])
    print(json.dumps({"version": version("flwr"), "rounds_s": rounds_s, "largest_error": off}))


if __name__ == "__main__":
    main()
