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
from dreamshare.errors import ConfigError
from dreamshare.transport.base import Listener
from dreamshare.transport.tls import TlsFiles
from dreamshare.transport.ways import MQTT_SCHEMES, check_address, link_to, listener_at, seat_at
from dreamshare_aggregator.allocation import give_large_blocks_back
from dreamshare_aggregator.enrolment.revocations import newest
from dreamshare_aggregator.telemetry.logs import configure_logs
from dreamshare_cli.exits import Exit
from dreamshare_cli.loops import choose_loop
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secretfile import read_private_bytes

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
        seat: file of the seat at a broker; None where it listens at none.
    """

    root: str
    listen: Sequence[str]
    identity: Path
    enrolment: Path | None
    seat: Path | None = None

    def __post_init__(self) -> None:
        brokers = [url for url in self.listen if url.startswith(MQTT_SCHEMES)]
        if self.root.startswith(MQTT_SCHEMES):
            raise ConfigError(
                f"{self.root} is a broker: a shard reaches its aggregator by gRPC, at the address "
                "of its setting `shards`"
            )
        if brokers and self.seat is None:
            raise ConfigError(
                f"a shard at {brokers[0]} needs a seat there, with --seat: "
                "`dreamshare broker config --seats` makes them, one for each shard"
            )
        if len(brokers) > 1:
            raise ConfigError("a shard has one broker; run another shard for the second one")


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
        ConfigError: an address, the identity or the seat is unusable.
        Unreachable: another process has taken this one's place at a broker.
    """
    for url in (options.root, *options.listen):
        check_address(url)
    clock = SystemClock()

    def identity() -> Identity:
        known = Identity.load(options.identity)
        if options.enrolment is None:
            return known
        return newest(known, options.enrolment / "revocations", clock.now())

    def listeners(me: Identity) -> Sequence[Listener]:
        return _listeners(options, me)

    me = identity()
    link = link_to(options.root, me)
    listeners(me)  # what is wrong with them is said now, not when the aggregator is there
    give_large_blocks_back()
    engine = ThreadEngine(THREADS)
    try:
        await serve_shard(link, listeners, identity, clock, engine, random.Random())
    finally:
        engine.close()


def _listeners(options: ShardOptions, me: Identity) -> Sequence[Listener]:
    """Return where devices come in; ConfigError, and ParameterError where the seat is none."""
    sockets = [url for url in options.listen if not url.startswith(MQTT_SCHEMES)]
    listeners = [listener_at(url, me) for url in sockets]
    if options.seat is not None:
        pem = read_private_bytes(options.seat)
        seat = TlsFiles(pem, pem, me.tls.roots_pem)
        brokers = (url for url in options.listen if url not in sockets)
        listeners += [seat_at(url, me, seat) for url in brokers]
    return listeners
