"""The aggregator's placed shards, kept alive: each is a piece of work of an engine, begun again.

Rules:
- a shard is a batch of one piece, in a process of its own; whatever ends it, it is begun again at
  the same address, after a pause that grows while it does not last;
- they end with the block, and with this process, whatever ends that: an engine's work does;
- what a shard logs is logged here, under its number.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dreamshare.clock import Clock
from dreamshare.driver.waiting import stop
from dreamshare.engine.batches import Batch, BatchEngine, Event, Failed, Told
from dreamshare.engine.opening import open_engine
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_cli.placed import Placement, be_shard

_LOG = logging.getLogger(__name__)

Begin = Callable[[str], None]
"""Begins the shards, given where the aggregator takes them, as they call it."""

BACKOFF = BackoffSettings(first_s=0.2, longest_s=30.0)
"""Pauses before a shard is begun again."""


@asynccontextmanager
async def placing(config: AggregatorConfig, clock: Clock) -> AsyncIterator[Begin]:
    """Give what begins the shards that the settings want; they end with the block.

    Open it first: a cluster's start forks this process, which is best done while it is alone.

    Args:
        config: the aggregator's.
        clock: times the pauses.

    Raises:
        ConfigError: the engine lacks something, Ray for example.
        Unreachable: no cluster answers.
    """
    placed = config.placed_shards
    if placed.count == 0:
        yield _none
        return
    tasks: list[asyncio.Task[None]] = []

    def begin(root: str) -> None:
        placement = Placement(
            root,
            placed.links,
            placed.broker,
            "" if placed.seats is None else str(placed.seats.absolute()),
            str((placed.identity or config.identity).absolute()),
            str(config.enrolment.absolute()),
            config.log_level,
            config.uvloop,
        )
        for number in range(placed.count):
            batch = Batch(be_shard, (number,), placement, placed.occupied, 0, fresh=True)
            tasks.append(asyncio.create_task(Kept(number, batch).keep(engine, clock)))

    # in a thread, as a cluster takes its time
    async with await asyncio.to_thread(open_engine, placed.opening) as engine:
        try:
            yield begin
        finally:
            await stop(*tasks)


def _none(_root: str) -> None:
    """Nothing is wanted."""


class Kept:
    """One shard.

    Args:
        number: its own, from 0; people count from 1.
        batch: it.
    """

    def __init__(self, number: int, batch: Batch[Placement, int, None]) -> None:
        self._name = f"placed shard {number + 1}"
        self._batch = batch

    async def keep(self, engine: BatchEngine, clock: Clock) -> None:
        """Begin it, and again whenever it ended, until cancelled."""
        waits = Backoff(BACKOFF, random.Random())
        while True:
            began = clock.now()
            try:
                async with engine.run(self._batch) as events:
                    async for event in events:
                        self._heard(event)
            except Exception:  # noqa: BLE001 - whatever it is, the shard is wanted
                _LOG.exception("%s could not be begun", self._name)
            wait = waits.next_wait(clock.now() - began)
            _LOG.warning("%s is begun again in %.1f s", self._name, wait)
            await clock.sleep_until(clock.now() + wait)

    def _heard(self, event: Event[None]) -> None:
        match event:
            case Told(_, text):
                self._log(text)
            case Failed(_, _, kind, text, trace):
                _LOG.error("%s ended: %s %s", self._name, kind, text)
                _LOG.debug("%s", trace)
            case _:
                _LOG.error("%s ended by itself", self._name)

    def _log(self, line: str) -> None:
        fields = json.loads(line)
        level = logging.getLevelNamesMapping().get(str(fields.get("level", "")).upper())
        said = fields.get("event", "")
        extra = {key: fields[key] for key in ("exception",) if key in fields}
        _LOG.log(level or logging.WARNING, "%s: %s", self._name, said, extra=extra)
