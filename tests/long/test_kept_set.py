"""What `moments/1` draws, kept by agent processes without torch, is what a later task names.

Three processes with bundles; the task that follows is ordered as an operator types it. One agent is
killed in between: what it keeps is in what it has stored.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.algorithms.moments import MomentsConfig
from dreamshare.learning.public import kept_by_devices
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare_crypto.certificates import Role
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.data_config import DataConfig
from tests.integration.bundles import CLASSES, SHAPE, small_bundle, write_arrays
from tests.integration.children import Child, child
from tests.integration.stage import Stage

pytestmark = pytest.mark.integration

COHORT = Cohort(least=3, most=3)
DEADLINES = Deadlines(setup_s=60, collect_s=60, reveal_s=60)
DRAWN = MomentsConfig(
    SHAPE, CLASSES, told="set", keep=True, images=4, warm_up_epochs=1, fit_steps=2
)
FOLLOWER = f"classes = {CLASSES}\nrounds = 1\nwarm_up_epochs = 0\nfit_steps = 2\n"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


def settled(stage: Stage, number: int, bundle: bytes) -> Path:
    """Write what a device needs; return its settings file."""
    home = stage.path / f"device-{number}"
    home.mkdir(mode=0o700)
    stage.federation.folder.issue(Role.DEVICE, f"device-{number}", home / "device.key")
    (home / "net.dream").write_bytes(bundle)
    write_arrays(home / "examples.npz", 80, number)
    config = AgentConfig(
        link=f"grpcs://127.0.0.1:{stage.port}",
        algorithms=("fedh2l/1", "moments/1"),
        learner=LearnerConfig(bundle=Path("net.dream")),
        data=DataConfig(arrays=Path("examples.npz")),
    )
    path = home / "agent.toml"
    path.write_text(settings_text(config), encoding="utf-8")
    return path


async def started(stack: AsyncExitStack, path: Path) -> Child:
    arguments = ("--json", "--config", str(path))
    agent = await stack.enter_async_context(child("tests.integration.torchless", *arguments))
    await agent.event("ready")
    return agent


async def typed(stage: Stage, name: str, *words: str) -> tuple[int, str]:
    """Order a task as an operator types it and follow it; return exit code and last words."""
    path = stage.path / "task.toml"
    path.write_text(FOLLOWER, encoding="utf-8")
    where = (
        "--federation", str(stage.federation.folder.folder),
        "--link", f"grpcs://127.0.0.1:{stage.port}",
    )  # fmt: skip
    crowd = ("--least", "3", "--most", "3", "--watch")
    arguments = ("run", "submit", name, "--config", str(path), *crowd, *where, *words)
    async with child("dreamshare_cli", *arguments, stderr=subprocess.STDOUT) as command:
        said = ""
        while line := await command.line():
            said += line + " "
        return await command.process.wait(), said


async def test_a_task_follows_on_the_set_that_agents_kept(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    bundle = small_bundle().to_bytes()
    async with AsyncExitStack() as stack:
        paths = [settled(stage, number, bundle) for number in range(3)]
        agents = [await started(stack, path) for path in paths]
        drew = await aggregator.submit(DRAWN, COHORT, DEADLINES)
        result = await drew.result()
        assert len(kept_by_devices(result.arrays, result.metrics)) == DRAWN.images * CLASSES

        assert await agents[0].end(signal.SIGKILL) == -signal.SIGKILL
        agents[0] = await started(stack, paths[0])
        code, said = await typed(stage, "fedh2l/1", "--public", drew.id.hex())
        assert code == 0, said

        unkept = await aggregator.submit(replace(DRAWN, keep=False, seed=1), COHORT, DEADLINES)
        await unkept.result()
        code, said = await typed(stage, "fedh2l/1", "--public", unkept.id.hex())
        assert (code, "keep no set" in said) == (2, True), said
        for agent in agents:
            assert await agent.end(signal.SIGTERM) == 0
