"""Shards that Ray places: one is killed, a node dies, the aggregator is stopped and killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamshare_aggregator.placed import PlacedConfig
from tests.integration.placed_shards import (
    ROUNDS,
    Site,
    run_and_kill,
    run_without_shards,
    same,
    until_gone,
)
from tests.ray import Cluster, cluster_of_two, need_ray
from tests.services import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, object]]:
    """A head that takes no shards, and two nodes that take one each; and the second of these."""
    need_ray()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with cluster_of_two({"shards": 1}) as made:
        yield made


async def test_shards_on_a_cluster(tmp_path: Path, cluster: tuple[Cluster, object]) -> None:
    made, node = cluster
    site = Site(tmp_path)
    placed = PlacedConfig(
        2,
        "ray",
        made.address,
        f"grpcs://0.0.0.0:{site.shards[0]}",
        resources={"shards": 1},
    )
    site.settle(placed, f"grpcs://127.0.0.1:{free_port()}")
    async with site.up() as up:
        status, state = await run_and_kill(site, 2)
        assert (status.aggregations, status.abandoned) == (ROUNDS + 2, 0)
        await site.until_healthy("shards 2 of 2")
        before = site.processes()
        made.remove_node(node, allow_graceful=False)
        await site.until_healthy("shards 1 of 2")
        made.add_node(num_cpus=1, resources={"shards": 1})
        await site.until_healthy("shards 2 of 2")
        after = site.processes()
        assert await up.end(signal.SIGTERM) == 0
        await until_gone({**before, **after})
    async with site.up() as up:
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
        await until_gone(site.processes())
    assert same(state, await run_without_shards(site.federation, tmp_path))
