"""What `dreamshare shard` does: one life after another, until it is told to stop."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamshare.clock import SystemClock
from dreamshare.driver.shard import serve_shard
from dreamshare.driver.waiting import first_of, until
from dreamshare.engine import ThreadEngine
from dreamshare.transport.base import Listener
from dreamshare.transport.ways import check_address, link_to, listener_at
from dreamshare_aggregator.allocation import give_large_blocks_back
from dreamshare_aggregator.enrolment.revocations import newest
from dreamshare_aggregator.telemetry.logs import configure_logs
from dreamshare_cli.exits import Exit
from dreamshare_cli.loops import choose_loop
from dreamshare_crypto.identity import Identity

THREADS = 2
"""One frame is opened while another one's vector is added."""


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """What was typed.

    Attributes:
        root: link to the aggregator's trunks.
        listen: where devices come in.
        identity: file of the aggregator's identity.
        enrolment: folder with the newest revocation list; None: the identity's own list.
    """

    root: str
    listen: Sequence[str]
    identity: Path
    enrolment: Path | None


def run_shard(options: ShardOptions) -> Exit:
    """Be a shard until SIGINT or SIGTERM.

    Raises:
        ConfigError: an address or the identity is unusable.
    """
    configure_logs("console", "warning")
    with asyncio.Runner(loop_factory=choose_loop(uvloop_wanted=True).factory) as runner:
        runner.run(_until_signal(options))
    return Exit.OK


async def _until_signal(options: ShardOptions) -> None:
    stop, running = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)
    await first_of(serve(options), until(stop))


async def serve(options: ShardOptions) -> None:
    """Be a shard until cancelled.

    Raises:
        ConfigError: an address or the identity is unusable.
    """
    for url in (options.root, *options.listen):
        check_address(url)
    give_large_blocks_back()
    clock = SystemClock()

    def identity() -> Identity:
        known = Identity.load(options.identity)
        if options.enrolment is None:
            return known
        return newest(known, options.enrolment / "revocations", clock.now())

    def listeners(me: Identity) -> Sequence[Listener]:
        return [listener_at(url, me) for url in options.listen]

    engine = ThreadEngine(THREADS)
    link = link_to(options.root, identity())
    try:
        await serve_shard(link, listeners, identity, clock, engine, random.Random())
    finally:
        engine.close()
