"""Shards that the aggregator places as processes: kept alive, summed exactly, gone with it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dreamshare_aggregator.placed import PlacedConfig
from tests.integration.placed_shards import (
    ROUNDS,
    Site,
    listens,
    run_and_kill,
    run_without_shards,
    same,
    until_gone,
    until_listening,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


async def test_a_placed_shard_that_is_killed_costs_no_round(tmp_path: Path) -> None:
    """The aggregator is killed, too, and started again: its shards are its own each time."""
    site = Site(tmp_path)
    site.settle(PlacedConfig(2, listen=f"grpcs://127.0.0.1:{site.shards[0]}"))
    async with site.up() as up:
        first = site.processes()
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
        await until_gone(first)
    async with site.up() as up:
        before = site.processes()
        status, state = await run_and_kill(site, 2)
        assert (status.aggregations, status.abandoned) == (ROUNDS + 2, 0)
        await site.until_healthy("shards 2 of 2")
        after = site.processes()
        assert (before[1], before[2] == after[2]) == (after[1], False)
        await until_listening(site.shards)
        assert await up.end(signal.SIGTERM) == 0
        await until_gone(after)
    assert not any(map(listens, site.shards))
    assert "placed shard 2 ended" in site.log.read_text()
    assert same(state, await run_without_shards(site.federation, tmp_path))
