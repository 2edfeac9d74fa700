"""The history of rounds, asked for by those who may look: page by page, and by the command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.history import PAGE, EndedRound, RoundEntry, RoundOutcome
from dreamshare.protocol.messages import TaskPhase
from dreamshare_aggregator.history import add_round
from dreamshare_aggregator.store import Store, open_store
from dreamshare_crypto.certificates import Role
from tests.integration.children import child
from tests.integration.stage import Stage
from tests.unit.shells.test_aggregator_store import ORDER, STATUS, TASK

pytestmark = pytest.mark.integration

SUM = EndedRound("gradient", 1, RoundOutcome.SUM, "", 8, 6, 4000)
GIVEN_UP = EndedRound("gradient", 2, RoundOutcome.ABANDONED, "no quorum; asked again", 8, 0, 900)
TOLD = EndedRound("tell", 2, RoundOutcome.TOLD, "", 8, 7, 300)


async def fill(store: Store, rounds: list[EndedRound]) -> None:
    """Put a cancelled task with these rounds into a store, ended at the seconds 1, 2, 3, ..."""

    async def write(connection: AsyncConnection) -> None:
        for moment, done in enumerate(rounds, start=1):
            await add_round(connection, TASK, done, float(moment))

    await store.add(ORDER, STATUS)
    await store.transact(write)
    await store.finish(replace(STATUS, phase=TaskPhase.CANCELLED), "cancelled")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def test_a_viewer_reads_all_of_it_page_by_page(stage: Stage) -> None:
    rounds = [SUM, GIVEN_UP, TOLD] * (PAGE // 3 + 1)
    async with open_store(stage.store) as store:
        await fill(store, rounds)
    await stage.aggregator()
    viewer = await stage.client(stage.federation.enrol(Role.VIEWER, "viewer"))
    expected = [RoundEntry(n, float(n), done) for n, done in enumerate(rounds, start=1)]
    assert len(expected) > PAGE
    assert [entry async for entry in viewer.history(TASK)] == expected
    assert [entry async for entry in viewer.history(TASK, after=PAGE)] == expected[PAGE:]
    assert [entry async for entry in viewer.history(TASK, after=len(rounds))] == []
    with pytest.raises(ConfigError, match="there is no task"):
        await anext(viewer.history(TaskId(bytes(16))))


async def test_the_command_asks_the_aggregator(stage: Stage) -> None:
    async with open_store(stage.store) as store:
        await fill(store, [SUM, GIVEN_UP])
    await stage.aggregator()
    link = f"grpcs://127.0.0.1:{stage.port}"
    folder = str(stage.federation.folder.folder)
    verb = ("history", TASK.hex()[:8], "--after", "1", "--json", "--link", link, "-f", folder)
    async with child("dreamshare_cli", *verb) as shown:
        assert json.loads(await shown.line()) == {
            "number": 2,
            "moment": 2.0,
            "step": "gradient",
            "cycle": 2,
            "outcome": "abandoned",
            "reason": "no quorum; asked again",
            "roster": 8,
            "survivors": 0,
            "dropped": 8,
            "bytes": 900,
        }
        assert await shown.line() == ""
        assert await shown.process.wait() == 0
