"""An aggregator whose disk takes nothing more stops, in words, and goes on when there is room."""

from __future__ import annotations

import asyncio
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

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_the_run_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    """The limit of a file's size, set on the running process, is what a full disk is to it."""
    folder = FederationFolder(tmp_path / "federation")
    up = ("up", "--json", "--federation", str(folder.folder))
    async with AsyncExitStack() as stack:
        async with child("dreamshare_cli", *up, "--listen", "grpcs://127.0.0.1:0") as first:
            port = port_of(await first.event("listening"))
            for device in range(4):
                await stack.enter_async_context(Loopback(folder).agent(device, port))
            client = await stack.enter_async_context(operator(folder, port))
            task = await client.submit(toy_config(rounds=12), COHORT, DEADLINES)
            async for report in client.watch(task):
                if report.status.aggregations >= 3:
                    break
            resource.prlimit(first.process.pid, resource.RLIMIT_FSIZE, (8192, 8192))
            async with asyncio.timeout(60):
                assert await first.process.wait() not in (0, -signal.SIGXFSZ)
        async with child("dreamshare_cli", *up, "--listen", f"grpcs://127.0.0.1:{port}") as again:
            reports = await follow(client, task)
            status = reports[-1].status
            assert status.phase is TaskPhase.DONE, status.detail
            assert (status.aggregations, status.abandoned) == (14, 0)
            assert status.secure_aggregation
            assert await again.end(signal.SIGTERM) == 0
