"""Placed shards: their settings, and how one is begun again."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from dreamshare.clock import ManualClock
from dreamshare.engine.batches import Batch, BatchEngine, Event, Failed, Reason, Told
from dreamshare.errors import ConfigError
from dreamshare.settings import read_settings, settings_text
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.placed import PlacedConfig
from dreamshare_cli.placed import Placement, be_shard
from dreamshare_cli.placing import BACKOFF, Kept, placing

PLACEMENT = Placement(
    "grpcs://a:1", ("grpcs://a:2", "grpcs://a:3"), "", "", "a.key", "e", "info", True
)


def test_a_table_is_read_and_written_back() -> None:
    text = """
shards = "grpcs://10.0.0.1:7450"
[placed_shards]
count = 3
engine = "ray"
address = "auto"
listen = "grpcs://0.0.0.0:7451"
identity = "/etc/dreamshare/aggregator.key"
cpus = 2
[placed_shards.resources]
shards = 1
"""
    config = read_settings(AggregatorConfig, text, source="aggregator.toml")
    assert read_settings(AggregatorConfig, settings_text(config), source="again") == config
    placed = config.placed_shards
    assert config.trunk == "grpcs://10.0.0.1:7450"
    assert placed.links == tuple(f"grpcs://0.0.0.0:{port}" for port in (7451, 7452, 7453))
    assert (placed.opening.kind, placed.opening.at_once, placed.opening.address) == (
        "ray",
        3,
        "auto",
    )
    assert (placed.occupied.cpus, placed.occupied.named) == (2.0, (("shards", 1.0),))


def test_on_this_machine_a_number_is_enough() -> None:
    config = read_settings(AggregatorConfig, "[placed_shards]\ncount = 2", source="a")
    assert config.trunk == "grpcs://127.0.0.1:0"
    assert AggregatorConfig().trunk == ""
    beside = PlacedConfig(2, identity=Path("own.key")).beside(Path("/etc"))
    assert beside.identity == Path("/etc/own.key")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count = 257", "0 to 256"),
        ("count = -1", "0 to 256"),
        ("engine = 'local'", "'processes' or 'ray'"),
        ("engine = 'slurm'", "there is no engine 'slurm'"),
        ("address = 'auto'", "belongs to engine 'ray'"),
        ("resources = { shards = 1 }", "use them with engine = 'ray'"),
        ("engine = 'ray'\nresources = { shards = 'one' }", "placed_shards.resources.shards"),
        ("engine = 'ray'\nresources = { shards = 0 }", "amount > 0"),
        ("cpus = 0", "0"),
        ("listen = 'grpcs://127.0.0.1:0'\ncount = 1", "comes back at its address"),
        ("listen = 'grpcs://127.0.0.1:65535'\ncount = 2", "ports from 1 to 65535"),
        ("listen = 'mqtts://broker:8883'", "is not an address"),
        ("count = 1\nengine = 'ray'", "shards is empty"),
        ("listen = ''", "listen is empty"),
        ("broker = 'mqtts://b:8883'", "go together"),
        ("broker = 'grpcs://b:8883'\nseats = 'broker'", "use mqtts://host:port"),
        ("listen = ''\nbroker = 'mqtts://b:1'\nseats = 'broker'\ncount = 1", "shards is empty"),
        ("count = 1\nlisten = 'grpcs://0.0.0.0:7451'", "cannot call 0.0.0.0"),
    ],
)
def test_what_cannot_work_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_settings(AggregatorConfig, f"[placed_shards]\n{text}", source="aggregator.toml")


def test_what_a_shard_is_told_is_text_and_no_secret() -> None:
    """The identity is a path: the file is read where the shard is."""
    values = [getattr(PLACEMENT, name) for name in Placement.__slots__]
    assert all(isinstance(value, str | tuple | bool) for value in values)
    assert pickle.loads(pickle.dumps(PLACEMENT)) == PLACEMENT


class Engine:
    """Begins shards that end at once, each in another way."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    @asynccontextmanager
    async def run(
        self, batch: Batch[Placement, int, None]
    ) -> AsyncIterator[AsyncIterator[Event[None]]]:
        self.begun.extend(batch.pieces)
        if len(self.begun) == 3:
            raise RuntimeError("the cluster is away")
        yield self._events()

    async def _events(self) -> AsyncIterator[Event[None]]:
        yield Told(0, '{"event": "trunk ended", "level": "warning", "exception": "Traceback"}')
        yield Failed(0, Reason.REFUSED, "ConfigError", "cannot listen on a:3", "trace")


async def test_a_shard_is_begun_again_after_pauses_that_grow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    engine, clock = Engine(), ManualClock(0.0)
    shard = Kept(1, Batch(be_shard, (1,), PLACEMENT))
    keeping = asyncio.create_task(shard.keep(cast("BatchEngine", engine), clock))
    waited = []
    for _ in range(10):
        for _ in range(20):
            await asyncio.sleep(0)  # whatever it does until it waits
        assert clock.next_wake is not None
        waited.append(clock.next_wake - clock.now())
        clock.advance_to(clock.next_wake)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert engine.begun == [1] * 10
    assert all(BACKOFF.first_s / 2 <= wait <= BACKOFF.longest_s for wait in waited)
    assert waited[-1] > 10 * waited[0]
    assert "placed shard 2: trunk ended" in caplog.text
    assert "placed shard 2 ended: ConfigError cannot listen on a:3" in caplog.text
    assert "placed shard 2 could not be begun" in caplog.text


def test_a_shard_listens_by_itself_or_at_a_broker_or_both() -> None:
    options = PLACEMENT.options(1)
    assert (options.listen, options.seat) == (("grpcs://a:3",), None)
    seated = dataclasses.replace(PLACEMENT, broker="mqtts://b:8883", seats="/etc/seats")
    options = seated.options(1)
    assert options.listen == ("grpcs://a:3", "mqtts://b:8883")
    assert options.seat == Path("/etc/seats/seat-2.pem")
    assert dataclasses.replace(seated, links=()).options(0).listen == ("mqtts://b:8883",)


async def test_without_ray_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "dreamshare.engine.cluster", raising=False)
    placed = PlacedConfig(1, engine="ray")
    config = AggregatorConfig(shards="grpcs://127.0.0.1:7450", placed_shards=placed)
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[ray\]'"):
        async with placing(config, ManualClock(0.0)):
            pass
