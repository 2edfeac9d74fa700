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
        links: where each listens.
        identity: path of the aggregator's identity, on the machine of the shard.
        enrolment: path of its enrolment folder; where there is none, the identity's list counts.
        log_level: of the aggregator.
        uvloop: whether it runs on uvloop where that is installed.
    """

    root: str
    links: tuple[str, ...]
    identity: str
    enrolment: str
    log_level: str
    uvloop: bool


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
    link = placement.links[number]
    host, process = socket.gethostname(), os.getpid()
    _LOG.info("begins on %s, process %d, and listens at %s", host, process, link)
    enrolment, identity = Path(placement.enrolment), Path(placement.identity)
    options = ShardOptions(placement.root, (link,), identity, enrolment)
    loop = choose_loop(uvloop_wanted=placement.uvloop)
    with asyncio.Runner(loop_factory=loop.factory) as runner:
        runner.run(serve(options))
