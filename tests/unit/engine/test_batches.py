"""Batches in threads and in processes; the same contract holds on a cluster (tests/integration)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from dreamshare.engine.batches import Batch, Resources, Site, WorkFailed, gathered
from dreamshare.engine.opening import EngineConfig, Kind, open_engine
from dreamshare.errors import ConfigError, LocalProtocolError
from tests.unit.engine import work
from tests.unit.engine.contract import ALWAYS, ELSEWHERE, Check, alive, bits_of, count, until


@pytest.mark.parametrize("check", ALWAYS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["local", "processes"])
async def test_it_keeps_the_contract(kind: Kind, check: Check, tmp_path: Path) -> None:
    async with open_engine(EngineConfig(kind, 2)) as engine:
        await check(engine, tmp_path)


@pytest.mark.parametrize("check", ELSEWHERE, ids=lambda check: check.__name__)
async def test_processes_keep_more(check: Check, tmp_path: Path) -> None:
    async with open_engine(EngineConfig("processes", 2)) as engine:
        await check(engine, tmp_path)


async def test_how_many_places_changes_no_bit() -> None:
    seen = set()
    for places in (1, 3):
        async with open_engine(EngineConfig("processes", places)) as engine:
            seen.add(await bits_of(engine))
    assert len(seen) == 1


def local(common: None, number: int, site: Site) -> int:
    return number


def test_work_is_a_function_that_workers_can_import(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="top of an importable module"):
        Batch(lambda common, number, site: number, (1,), None)

    def inner(common: None, number: int, site: Site) -> int:
        return number

    with pytest.raises(ConfigError, match="top of an importable module"):
        Batch(inner, (1,), None)
    monkeypatch.setattr(local, "__module__", "__main__")
    with pytest.raises(ConfigError, match="the script that runs"):
        Batch(local, (1,), None)


def test_values_out_of_range_are_refused() -> None:
    for wrong in (lambda: Resources(cpus=0), lambda: Resources(gpus=-1)):
        with pytest.raises(ConfigError, match="cores"):
            wrong()
    with pytest.raises(ConfigError, match="named resource"):
        Resources(named=(("tpu", 0.0),))
    with pytest.raises(ConfigError, match="retries"):
        Batch(work.squared, (), 0, retries=-1)
    with pytest.raises(ConfigError, match="'cloud'"):
        EngineConfig("cloud")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at a time"):
        EngineConfig("local", -1)
    with pytest.raises(ConfigError, match="address"):
        EngineConfig("local", address="auto")


async def test_a_closed_engine_runs_nothing() -> None:
    engine = open_engine(EngineConfig("local", 1))
    await engine.close()
    await engine.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        await gathered(engine, Batch(work.squared, (1,), 0))


async def test_a_worker_lacking_a_module_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is known here, but not where a worker looks."""
    batch = Batch(work.squared, (1,), 0)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path.endswith("sdk")])
    monkeypatch.chdir("/")
    async with open_engine(EngineConfig("processes", 1)) as engine:
        with pytest.raises(WorkFailed, match="ModuleNotFoundError"):
            await gathered(engine, batch)


OWNER = """
import asyncio, sys
from pathlib import Path
from dreamshare.engine.batches import Batch, gathered
from dreamshare.engine.opening import EngineConfig, open_engine
from tests.unit.engine import work

async def main():
    async with open_engine(EngineConfig("processes", 2)) as engine:
        await gathered(engine, Batch(work.stuck, range(2), Path(sys.argv[1])))

asyncio.run(main())
"""


async def test_workers_end_with_a_killed_owner(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(tmp_path))
    try:
        await until(lambda: count(tmp_path) == 2)
    finally:
        owner.kill()
        await owner.wait()
    await until(lambda: not any(map(alive, tmp_path.iterdir())))


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "dreamshare.engine.cluster", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[ray\]'$"):
        open_engine(EngineConfig("ray"))
