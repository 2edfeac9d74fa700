"""`dreamshare up` and the agents as processes: signals, kills, and what is left on the disk."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.toy import ALGORITHMS, Loopback, toy_config

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


def port_of(listening: dict[str, object]) -> int:
    (link,) = listening["links"]  # type: ignore[misc]
    return int(str(link).rpartition(":")[2])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)]
)
async def test_up_is_stopped_or_killed_and_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = FederationFolder(tmp_path / "federation")
    up = ("up", "--json", "--federation", str(folder.folder))
    async with AsyncExitStack() as stack:
        async with child("dreamshare_cli", *up, "--listen", "grpcs://127.0.0.1:0") as first:
            await first.event("created")
            listening = await first.event("listening")
            assert listening["loop"] == "uvloop"  # of the extra `dev`
            port = port_of(listening)
            assert folder.link() == f"grpcs://127.0.0.1:{port}"
            for device in range(4):
                await stack.enter_async_context(Loopback(folder).agent(device, port))
            client = await stack.enter_async_context(operator(folder, port))
            task = await client.submit(toy_config(rounds=12), COHORT, DEADLINES)
            async for report in client.watch(task):
                if report.status.aggregations >= 3:
                    break
            assert await first.end(number) == code
            if code == 0:
                rest = (await first.process.communicate())[0].decode().splitlines()
                assert json.loads(rest[-1]) == {"event": "stopped"}
        plainly = (*up, "--no-uvloop", "--listen", f"grpcs://127.0.0.1:{port}")
        async with child("dreamshare_cli", *plainly) as again:
            assert (await again.event("listening"))["loop"] == "asyncio"
            reports = await follow(client, task)
            assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
            assert reports[-1].status.aggregations == 14  # start, twelve rounds, evaluation
            assert reports[-1].status.secure_aggregation
            assert reports[-1].status.abandoned == 0
            assert [report.number for report in reports] == list(range(1, len(reports) + 1))
            assert [report.event for report in reports].count("epoch") == 1
            assert await again.end(signal.SIGTERM) == 0


def operator(folder: FederationFolder, port: int) -> Client:
    identity = Identity.load(folder.operator)
    return Client(GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(identity)), identity)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["dreamshare_cli", "dreamshare_edge"])
async def test_an_agent_is_stopped_cleanly(
    tmp_path: Path, command: str, number: signal.Signals
) -> None:
    """Whether or not anybody answers at its link: nobody does here."""
    folder = FederationFolder(tmp_path / "federation")
    folder.create()
    home = folder.device("one")
    folder.issue(Role.DEVICE, "one", home / "device.key")
    config = AgentConfig(
        link="grpcs://127.0.0.1:9",
        algorithms=ALGORITHMS,
        report=Path("report.jsonl"),
        learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": 1}),
    )
    (home / "agent.toml").write_text(settings_text(config))
    arguments = ["--config", str(home / "agent.toml")]
    verb = ["agent", "run"] if command == "dreamshare_cli" else []
    async with child(command, *verb, "--json", *arguments) as agent:
        ready = await agent.event("ready")
        assert await agent.end(number) == 0
    report = home / "report.jsonl"
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["started", "stopped"]
    assert lines[0]["device"] == ready["device"]
    assert lines[0]["label"] == "toy 1"
    assert 0 <= lines[0]["accuracy"] <= 1
    assert (home / "state" / "kept" / "learner").exists()
