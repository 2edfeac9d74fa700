"""What `dreamshare up` does: settings, a development federation where there is none, the service.

Events with `--json`, one object a line on standard output:
    {"event": "standby", "holder": "host, process 12", "page": {…}}     another one is active
    {"event": "listening", "links": ["grpcs://127.0.0.1:7443"], "join": "…", "page": {…}, …}
    {"event": "report", "number": 1, "name": "round", "status": {…}, "metrics": {…}}
    {"event": "stopped"}
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

from dreamshare.clock import SystemClock
from dreamshare.driver.shards import MOST_SHARDS
from dreamshare.protocol.messages import TaskReport
from dreamshare.settings import default_text
from dreamshare.transport.address import EVERYWHERE, grpcs, host_and_port
from dreamshare.transport.ways import MQTT_SCHEMES, called_at, listener_at, trunks_at
from dreamshare_aggregator.allocation import give_large_blocks_back
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.enrolment.desk import DeskSettings, EnrolmentDesk
from dreamshare_aggregator.enrolment.queue import QueueBounds
from dreamshare_aggregator.enrolment.revocations import newest
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_aggregator.telemetry.logs import configure_logs
from dreamshare_aggregator.telemetry.sight import Sight
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_cli.checking import check_up
from dreamshare_cli.development import Development
from dreamshare_cli.exits import Exit
from dreamshare_cli.greeting import Greeting
from dreamshare_cli.loops import Loop, choose_loop
from dreamshare_cli.operating import report_fields, report_line
from dreamshare_cli.output import Output
from dreamshare_cli.placing import placing
from dreamshare_cli.settling import UpOptions, settle, settled
from dreamshare_cli.watching import page_of, sight_of
from dreamshare_crypto.identity import Identity


def print_default() -> None:
    """Print the commented default settings."""
    sys.stdout.write(default_text(AggregatorConfig))


def run_up(options: UpOptions) -> Exit:
    """Run the aggregator until SIGINT or SIGTERM.

    Raises:
        ConfigError: settings, identity, address or database are unusable.
    """
    output = Output(options.as_json)
    config = settle(options, output)
    give_large_blocks_back()
    configure_logs(config.log_format, config.log_level)
    loop = choose_loop(uvloop_wanted=config.uvloop)
    with asyncio.Runner(loop_factory=loop.factory) as runner:
        return runner.run(_serve(config, options, loop, output))


def check_it(options: UpOptions) -> Exit:
    """Look at everything that a start needs; nothing is made, not even a federation.

    Raises:
        ConfigError: there are no settings, or they cannot be read.
    """
    return check_up(settled(options), Output(options.as_json))


async def _serve(config: AggregatorConfig, options: UpOptions, loop: Loop, output: Output) -> Exit:
    with sight_of(config) as sight:
        return await _serve_seen(config, options, loop, output, sight)


async def _serve_seen(
    config: AggregatorConfig, options: UpOptions, loop: Loop, output: Output, sight: Sight
) -> Exit:
    clock = SystemClock()
    known = Identity.load(config.identity)
    identity = newest(known, config.enrolment / "revocations", clock.now())
    listeners = [listener_at(url, identity) for url in config.listen]
    trunks = trunks_at(config.trunk, identity, MOST_SHARDS) if config.trunk else None
    settings = StoreSettings(config.lease_s, config.patience_s, config.artefacts)
    store = open_store(config.store, settings)
    around = Surroundings(
        evidence=config.evidence,
        capture=config.capture,
        may_stand_by=config.standby,
        retention=config.retention,
        turns=TurnSettings(config.tasks_at_once),
        away_s=config.away_s,
        trace=sight.took,
        trunks=trunks,
        shards_wanted=config.placed_shards.count,
    )

    def watch(report: TaskReport) -> None:
        _show(output, report)
        sight.reported(report)

    aggregator = Aggregator(listeners, store, identity, around, watch)
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)
    development = Development(options.federation, clock) if options.config is None else None
    async with AsyncExitStack() as stack:
        begin_shards = await stack.enter_async_context(placing(config, clock))
        await stack.enter_async_context(aggregator)
        shown = await stack.enter_async_context(page_of(config.web, aggregator, sight, around))
        stopping = asyncio.create_task(stop.wait())
        serving = asyncio.create_task(aggregator.wait())
        active = asyncio.create_task(aggregator.until_active())
        if aggregator.standby is not None:
            holder = aggregator.standby.holder
            text = f"another aggregator is active ({holder}); this one stands by; Ctrl-C stops it"
            output.show({"event": "standby", "holder": holder, "page": shown.fields()}, text)
        await asyncio.wait({stopping, serving, active}, return_when=asyncio.FIRST_COMPLETED)
        if active.done():
            links = [
                called_at(url, listener)
                for url, listener in zip(config.listen, listeners, strict=True)
            ]
            desk = EnrolmentDesk(
                DeskSettings(
                    config.enrol,
                    config.enrolment,
                    QueueBounds(config.enrol_queue, config.enrol_per_address),
                    development,
                ),
                identity,
                config.enrol_links or [_told(link) for link in links],
                clock,
                aggregator.renew,
                [] if config.enrol_links else [_told(link) for link in config.placed_shards.known],
            )
            await stack.enter_async_context(desk)
            root = "" if trunks is None else called_at(config.trunk, trunks)
            begin_shards(root)
            join = None if development is None else development.open(links[0], desk.endpoints)
            Greeting(
                links,
                desk.endpoints,
                join,
                options.federation,
                store.name,
                loop.name,
                loop.why,
                config.capture,
                shown,
                config.placed_shards.links,
            ).show(output)
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        active.cancel()
        if serving.done():
            serving.result()
        serving.cancel()
    output.show({"event": "stopped"}, "stopped; unfinished tasks go on at the next start")
    return Exit.OK


def _show(output: Output, report: TaskReport) -> None:
    fields = report_fields(report)
    fields["name"] = fields.pop("event")
    task = report.status.task.hex()[:8]
    output.show({"event": "report", **fields}, f"{task} {report_line(report)}")


def _told(link: str) -> str:
    """Return a link as devices are told it: without a host where it listens everywhere."""
    if link.startswith(MQTT_SCHEMES):
        return link
    host, port = host_and_port(link)
    return grpcs("", port) if host in EVERYWHERE else link
