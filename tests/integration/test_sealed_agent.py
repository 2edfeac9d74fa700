"""An agent whose keys and store the system's keystore seals: killed in mid-epoch, it goes on."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import keyring
import pytest

from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.keystore import is_sealed
from dreamshare_edge.moving import move_to_keystore
from dreamshare_edge.sealing import MARK
from tests.integration.children import child
from tests.integration.filekeys import VARIABLE, FileKeys
from tests.integration.stage import Stage
from tests.integration.test_rollback import restored
from tests.integration.toy import ALGORITHMS, toy_config

pytestmark = pytest.mark.integration

DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


async def test_it_resumes_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys.json"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.integration.filekeys.FileKeys")
    monkeypatch.setattr(keyring.core, "_keyring_backend", FileKeys())
    async with AsyncExitStack() as stack:
        stage = Stage(tmp_path, stack)
        aggregator = await stage.aggregator()
        await stage.agents(3)
        home = stage.federation.folder.device("sealed")
        stage.federation.folder.issue(Role.DEVICE, "sealed", home / "device.key")
        config = AgentConfig(
            link=f"grpcs://127.0.0.1:{stage.port}",
            anchor_folder=Path("run"),
            algorithms=ALGORITHMS,
            learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": 3}),
        )
        (home / "agent.toml").write_text(settings_text(config))
        move_to_keystore(home / "device.key", home / "state", SystemEntropy())
        assert is_sealed(home / "device.key")
        arguments = ("--json", "--config", str(home / "agent.toml"))
        async with child("dreamshare_edge", *arguments) as agent:
            await agent.event("ready")
            task = await aggregator.submit(toy_config(rounds=6), Cohort(4, 4), DEADLINES)
            await agent.event("round")
            assert await agent.end(signal.SIGKILL) == -signal.SIGKILL
        slots = list((home / "state" / "tasks").glob("*/slots/[!.]*"))
        assert slots
        for each in (*slots, home / "state" / "kept" / "learner"):
            assert each.read_bytes().startswith(MARK)
        assert restored(home).participant.session is not None, "its slots are opened again"
        async with child("dreamshare_edge", *arguments) as agent:
            result = await task.result()
            assert (await agent.event("task-over"))["outcome"] == "done"
        assert result.status.secure_aggregation
