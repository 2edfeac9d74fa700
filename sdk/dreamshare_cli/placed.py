"""A placed shard, where it runs: a piece of work that never ends by itself (docs/adr/0035).

Rules:
- what it is told is addresses and paths; the identity is read from its file on this machine;
- what it logs it tells, a JSON line each, without secrets as ever; its owner logs that.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dreamshare.engine.batches import Site
from dreamshare_aggregator.telemetry.logs import configure_logs
from dreamshare_cli.loops import choose_loop
from dreamshare_cli.sharding import ShardOptions, serve

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement:
    """What all placed shards of an aggregator are told.

    Attributes:
        root: where the aggregator takes shards.
        links: where each listens by itself; empty where it does not.
        broker: a broker where all have seats; "" where there is none.
        seats: path of the folder with these, on the machine of the shard.
        identity: path of the aggregator's identity, on the machine of the shard.
        enrolment: path of its enrolment folder; where there is none, the identity's list counts.
        log_level: of the aggregator.
        uvloop: whether it runs on uvloop where that is installed.
    """

    root: str
    links: tuple[str, ...]
    broker: str
    seats: str
    identity: str
    enrolment: str
    log_level: str
    uvloop: bool

    def options(self, number: int) -> ShardOptions:
        """Return what one of them does, from 0; raises ConfigError."""
        listen = (*self.links[number : number + 1], *([self.broker] if self.broker else ()))
        seat = Path(self.seats) / f"seat-{number + 1}.pem" if self.broker else None
        return ShardOptions(self.root, listen, Path(self.identity), Path(self.enrolment), seat)


class Lines(io.StringIO):
    """A stream whose lines are told; a log writes each in one call."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def write(self, text: str) -> int:
        self._tell(text.rstrip("\n"))
        return len(text)


def be_shard(placement: Placement, number: int, site: Site) -> None:
    """Be one of the shards, from 0, for ever.

    Raises:
        ConfigError: its address or the identity is unusable here.
    """
    configure_logs("json", placement.log_level, Lines(site.tell))
    options = placement.options(number)
    host, process, where = socket.gethostname(), os.getpid(), " and ".join(options.listen)
    _LOG.info("begins on %s, process %d, and listens at %s", host, process, where)
    loop = choose_loop(uvloop_wanted=placement.uvloop)
    with asyncio.Runner(loop_factory=loop.factory) as runner:
        runner.run(serve(options))
