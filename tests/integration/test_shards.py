"""A shard as a process, killed while a task runs; `tests/long` kills more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.shard_kills import run_with_kills, shard_stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


async def test_killing_a_shard_loses_no_round(tmp_path: Path) -> None:
    async with shard_stage(tmp_path, shards=1) as stage:
        status = await run_with_kills(stage, agents=4, rounds=8, kills=1, every=3)
    assert (status.aggregations, status.abandoned) == (10, 0)
