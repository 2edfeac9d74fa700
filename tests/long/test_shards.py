"""Shards that are killed one after the other, at other moments of a round each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.shard_kills import run_with_kills, shard_stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


async def test_killing_shards_loses_no_round(tmp_path: Path) -> None:
    async with shard_stage(tmp_path, shards=3) as stage:
        status = await run_with_kills(stage, agents=9, rounds=60, kills=10, every=5)
    assert (status.aggregations, status.abandoned) == (62, 0)
