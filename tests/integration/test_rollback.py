"""61 with real processes: an agent is killed outright; it goes on unless its anchor is gone."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.driver.desk import Seat
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.participant import Participant
from dreamshare.settings import settings_text
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.keystore import load_identity
from dreamshare_edge.policy import Policy
from dreamshare_edge.sealing import seals_for
from dreamshare_edge.store import FileStore
from tests.integration.children import child
from tests.integration.stage import Stage
from tests.integration.toy import ALGORITHMS, toy_config

pytestmark = pytest.mark.integration

DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


def restored(home: Path) -> Seat:
    """Return the device as its next process would find it, without a network."""
    identity = load_identity(home / "device.key")
    seals = seals_for(home / "device.key")
    with FileStore(home / "state", home / "run", seals=seals) as store:
        (task,) = store.tasks()
        journal = store.journal(task)
        numbers = store.begin(False)
        participant = Participant.restore(
            identity,
            TaskId(task),
            Policy().floor(),
            SystemEntropy(),
            lambda plan: None,
            Memory(),
            journal.records(),
            journal.slots(),
            numbers=numbers,
        )
        return Seat(participant, journal)


@pytest.mark.parametrize("anchored", [True, False], ids=["killed_process", "anchor_lost"])
async def test_an_agent_that_was_killed(tmp_path: Path, anchored: bool) -> None:
    """It resumes its session; without its anchor it says J1 and joins the next epoch."""
    async with AsyncExitStack() as stack:
        stage = Stage(tmp_path, stack)
        aggregator = await stage.aggregator()
        await stage.agents(3)
        folder = stage.federation.folder
        home = folder.device("killed")
        folder.issue(Role.DEVICE, "killed", home / "device.key")
        config = AgentConfig(
            link=f"grpcs://127.0.0.1:{stage.port}",
            anchor_folder=Path("run"),
            algorithms=ALGORITHMS,
            learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": 3}),
        )
        (home / "agent.toml").write_text(settings_text(config))
        arguments = ("--json", "--config", str(home / "agent.toml"))
        async with child("dreamshare_edge", *arguments) as agent:
            await agent.event("ready")
            await aggregator.submit(toy_config(rounds=200), Cohort(3, 4), DEADLINES)
            await agent.event("round")
            assert await agent.end(signal.SIGKILL) == -signal.SIGKILL
        if anchored:
            assert restored(home).participant.session is not None
            return
        for path in (home / "run").iterdir():
            path.unlink()
        async with child("dreamshare_edge", *arguments) as agent:
            declined = await agent.event("declined")
            assert declined["code"] == "J1"
            assert "rebooted, restored or cloned" in str(declined["text"])
            await agent.event("round")
