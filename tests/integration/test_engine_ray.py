"""Batches on a Ray cluster: what threads and processes keep is kept there, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dreamshare.engine.opening import EngineConfig, open_engine
from tests.ray import need_ray
from tests.unit.engine.contract import ALWAYS, ELSEWHERE, Check, bits_of


async def keep(checks: Sequence[Check], root: Path) -> str:
    """Run checks on one cluster, which takes seconds to start; return its bits."""
    need_ray()
    async with open_engine(EngineConfig("ray", 2)) as engine:
        for check in checks:
            folder = root / check.__name__
            folder.mkdir()
            await check(engine, folder)
        return await bits_of(engine)


@pytest.mark.timeout(400)  # a cluster's processes take long to start on a busy machine
async def test_a_cluster_keeps_the_contract(tmp_path: Path) -> None:
    on_cluster = await keep(ALWAYS, tmp_path)
    async with open_engine(EngineConfig("processes", 2)) as engine:
        assert await bits_of(engine) == on_cluster


@pytest.mark.long
async def test_a_cluster_begins_again_what_dies(tmp_path: Path) -> None:
    """Ray waits some seconds before it replaces a worker."""
    await keep(ELSEWHERE, tmp_path)
