"""A disk that is full: the service ends in words, and goes on when there is room again."""

from __future__ import annotations

import resource
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.messages import TaskPhase
from dreamshare_cli.federation import FederationFolder
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.test_service_process import COHORT, DEADLINES, operator, port_of
from tests.integration.toy import Loopback, toy_config

pytestmark = pytest.mark.integration


async def test_up_ends_when_the_disk_is_full_and_goes_on_at_the_next_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No file of the process may grow any more: what a full disk does to its writes."""
    folder = FederationFolder(tmp_path / "federation")
    up = ("up", "--json", "--federation", str(folder.folder))
    async with AsyncExitStack() as stack:
        async with child("dreamshare_cli", *up, "--listen", "grpcs://127.0.0.1:0") as first:
            await first.event("created")
            port = port_of(await first.event("listening"))
            for device in range(4):
                await stack.enter_async_context(Loopback(folder).agent(device, port))
            async with operator(folder, port) as client:
                task = await client.submit(toy_config(rounds=12), COHORT, DEADLINES)
                async for report in client.watch(task):
                    if report.status.aggregations >= 3:
                        break
            resource.prlimit(first.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
            assert await first.process.wait() == 1
        told = [line for line in capfd.readouterr().err.splitlines() if "dreamshare:" in line]
        assert any("rounds.db cannot be used: " in line for line in told), told
        async with child("dreamshare_cli", *up, "--listen", f"grpcs://127.0.0.1:{port}") as again:
            await again.event("listening")
            client = await stack.enter_async_context(operator(folder, port))
            reports = await follow(client, task)
            assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
            assert reports[-1].status.aggregations == 14  # start, twelve rounds, evaluation
            assert [r.number for r in reports] == list(range(1, len(reports) + 1))
            assert await again.end(signal.SIGTERM) == 0
