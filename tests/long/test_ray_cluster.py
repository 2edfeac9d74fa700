"""A cluster of two worker nodes on one machine: one is killed amid a run, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dreamshare.engine.opening import EngineConfig, open_engine
from dreamshare.protocol.messages import Deadlines
from dreamshare.simulate import GroupDone, LargeOptions, LargeResult, simulate_population
from tests.ray import Cluster, cluster_of_two, need_ray
from tests.unit.simulate.crowds import CONFIG, NAME, Values, lookup

pytestmark = pytest.mark.long

COUNT, MOST = 240, 10


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, object]]:
    """A head that computes nothing, and two nodes of one core; and the second of these."""
    need_ray()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    with cluster_of_two({}) as made:
        try:
            yield made
        finally:
            ray.shutdown()


async def run(config: EngineConfig, after: tuple[int, Cluster, object] | None) -> LargeResult:
    """Run; kill a node once so many groups have finished."""
    seen: list[int] = []

    def count(done: GroupDone) -> None:
        seen.append(done.number)
        if after is not None and len(seen) == after[0]:
            after[1].remove_node(after[2], allow_graceful=False)

    options = LargeOptions(
        seed=5, most=MOST, deadlines=Deadlines(20.0, 40.0, 10.0), lookup=lookup, on_group=count
    )
    async with open_engine(config) as engine:
        result = await simulate_population((NAME, CONFIG), Values(COUNT), engine, options)
    assert len(seen) == 3 * COUNT // MOST, "a group's result was delivered twice, or not at all"
    return result


async def test_a_killed_node_loses_nothing(cluster: tuple[Cluster, object]) -> None:
    """24 groups a step; the node dies in the first of three steps, with pieces on it."""
    made, second = cluster
    on_cluster = await run(EngineConfig("ray", 4, made.address), (6, made, second))
    alone = await run(EngineConfig("processes", 2), None)
    assert on_cluster.arrays["means"].tobytes() == alone.arrays["means"].tobytes()
    assert on_cluster.metrics["survivors"] == COUNT
    for group, same in zip(on_cluster.groups, alone.groups, strict=True):
        assert [s.tobytes() for s in group.states] == [s.tobytes() for s in same.states]
