"""Agents of a fresh environment in a federation, watched: waiting, in a CoDream cycle, after it.

Rules:
- the aggregator is this process's, in the environment of development; agents are processes of the
  environment that is measured, `python -m dreamshare_edge --config agent.toml`, over mutual TLS;
- three agents, because no secure sum has fewer; of each figure the largest is told;
- an ONNX agent has a bundle and a table of settings and no code; a torch agent a function that
  makes the same net;
- memory is read when nothing moves: `SETTLE_S` after the last event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from benchmarks.environments import clean_environment
from benchmarks.peers.usage import Peak, idle
from benchmarks.roads import Road

from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.demo.bundles import demo_bundle
from dreamshare_cli.demo.digits import CLASSES, SHAPE
from dreamshare_cli.demo.processes import Child, Children
from dreamshare_cli.demo.setting import codream_config
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.data_config import DataConfig
from tests.services import tethered

AGENTS = 3
ARCHITECTURE = "VGG-like"
EXAMPLES = 360
SETTLE_S = 5.0
CONNECT_S = 120.0
ROUND_S = 300.0

AFTER = ("idle_mb", "idle_private_mb", "idle_cpu_percent")
"""Of these, what they are after the cycle is told, too."""

TORCH_FACTORY = f"{Path(__file__).with_name('footprint_torch.py')}:make_equipment"


async def watch_agents(
    python: Path, kind: str, way: Road, window_s: float, home: Path
) -> Mapping[str, float]:
    """Run three agents and return what one of them takes; see `benchmarks.peers.usage`.

    Args:
        python: of the environment that is measured.
        kind: "onnx" or "torch".
        way: the transport.
        window_s: seconds, > 0, of waiting that are watched.
        home: an empty folder.

    Raises:
        ChildDied: an agent ended; the end of its log is in the text.
        RoadMissing: the transport's service is not here.
    """
    federation = FederationFolder(home / "federation")
    federation.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
    identity = Identity.load(federation.aggregator)
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(way.listener(identity, home, federation))
        store = open_store(f"sqlite:///{home / 'rounds.db'}")
        service = await stack.enter_async_context(Aggregator([listener], store, identity))
        children = await stack.enter_async_context(Children(home, clean_environment()))
        agents = []
        for number in range(AGENTS):
            settings = _lay_out(federation, number, kind, way.url, home / f"device-{number}")
            command = (str(python), "-P", "-m", "dreamshare_edge", "--json", "--config", settings)
            agents.append(await children.start(f"agent-{number}", tethered(command)))
        await _connected(service, children)
        waiting = await _idle(agents, window_s)
        peaks = [stack.enter_context(Peak(agent.process.pid)) for agent in agents]
        async with asyncio.timeout(ROUND_S):
            task = await service.submit(
                codream_config(seed=0, cycles=1), Cohort(AGENTS, AGENTS), Deadlines(60, 60, 60)
            )
            result = await task.result()
        children.check()
        if result.status.abandoned:
            raise SystemExit(f"{result.status.abandoned} rounds were given up: {result.status}")
        peak = max(each.mb for each in peaks)
        after = await _idle(agents, window_s)
    afterwards = {name.replace("idle", "after"): after[name] for name in AFTER}
    return {**waiting, "peak_mb": peak, **afterwards}


async def _idle(agents: Sequence[Child], window_s: float) -> dict[str, float]:
    await asyncio.sleep(SETTLE_S)
    looks = (asyncio.to_thread(idle, agent.process.pid, window_s) for agent in agents)
    found = await asyncio.gather(*looks)
    return {name: max(each[name] for each in found) for name in found[0]}


async def _connected(service: Aggregator, children: Children) -> None:
    async with asyncio.timeout(CONNECT_S):
        while sum(device.connected for device in service.devices()) < AGENTS:
            children.check()
            await asyncio.sleep(0.1)


def _lay_out(federation: FederationFolder, number: int, kind: str, link: str, home: Path) -> Path:
    """Write what a device has; return its settings file."""
    federation.issue(Role.DEVICE, f"device-{number}", home / "device.key")
    rng = np.random.default_rng(number)
    y_N = np.arange(EXAMPLES) % CLASSES
    x = rng.uniform(-1, 1, (EXAMPLES, *SHAPE)).astype(np.float32)
    arrays = home / "examples.npz"
    np.savez(arrays, x=x, y=y_N)
    data = DataConfig()
    if kind == "onnx":
        bundle = demo_bundle(ARCHITECTURE)
        (home / "net.dream").write_bytes(bundle.to_bytes())
        learner, data = LearnerConfig(bundle=Path("net.dream")), DataConfig(arrays=arrays)
    else:
        table = {"architecture": ARCHITECTURE, "classes": CLASSES, "arrays": str(arrays)}
        learner = LearnerConfig(factory=TORCH_FACTORY, settings=table)
    config = AgentConfig(link=link, label=kind, learner=learner, data=data)
    path = home / "agent.toml"
    path.write_text(settings_text(config), encoding="utf-8")
    return path
