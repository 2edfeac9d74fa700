"""What `dreamshare up` does: settings, a development federation where there is none, the service.

Events with `--json`, one object a line on standard output:
    {"event": "standby", "holder": "host, process 12"}      another aggregator is active
    {"event": "listening", "links": ["grpcs://127.0.0.1:7443"], "store": "…", "loop": "uvloop"}
    {"event": "report", "number": 1, "name": "round", "status": {…}, "metrics": {…}}
    {"event": "stopped"}
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from dreamshare.protocol.messages import TaskReport
from dreamshare.settings import default_text
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.config import AggregatorConfig, load_config
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.service import Aggregator, Surroundings
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import DEFAULT_LINK, FederationFolder, host_and_port
from dreamshare_cli.loops import Loop, choose_loop
from dreamshare_cli.operating import report_fields, report_line
from dreamshare_cli.output import Output
from dreamshare_crypto.identity import Identity

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - listened on, never called


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says; None leaves it to the settings file."""

    config: Path | None
    federation: Path
    listen: str | None
    store: str | None
    capture: Path | None
    uvloop: bool | None
    as_json: bool


def print_default() -> None:
    """Print the commented default settings."""
    sys.stdout.write(default_text(AggregatorConfig))


def run_up(options: UpOptions) -> Exit:
    """Run the aggregator until SIGINT or SIGTERM.

    Raises:
        ConfigError: settings, identity, address or database are unusable.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    output = Output(options.as_json)
    config = _settle(options, output)
    loop = choose_loop(uvloop_wanted=config.uvloop)
    with asyncio.Runner(loop_factory=loop.factory) as runner:
        return runner.run(_serve(config, options, loop, output))


def _settle(options: UpOptions, output: Output) -> AggregatorConfig:
    """Return the settings that count: the file's or a development federation's, then options."""
    if options.config is not None:
        config = load_config(options.config)
    else:
        folder = FederationFolder(options.federation)
        if not folder.exists():
            folder.create(_callable(options.listen or DEFAULT_LINK))
            output.show(
                {"event": "created", "federation": str(folder.folder)},
                f"made a development federation in {folder.folder}",
            )
        config = AggregatorConfig(listen=(folder.link(),), identity=folder.aggregator)
        config = dataclasses.replace(config, store=f"sqlite:///{folder.folder / 'rounds.db'}")
    if options.listen is not None:
        config = dataclasses.replace(config, listen=(options.listen,))
    if options.store is not None:
        config = dataclasses.replace(config, store=options.store)
    if options.capture is not None:
        config = dataclasses.replace(config, capture=options.capture)
    if options.uvloop is not None:
        config = dataclasses.replace(config, uvloop=options.uvloop)
    return config


async def _serve(config: AggregatorConfig, options: UpOptions, loop: Loop, output: Output) -> Exit:
    identity = Identity.load(config.identity)
    tls = TlsFiles.of(identity)
    listeners = [GrpcListener(_address(url), tls) for url in config.listen]
    store = open_store(config.store, StoreSettings(config.lease_s, config.patience_s))
    aggregator = Aggregator(
        listeners,
        store,
        identity,
        Surroundings(
            capture=config.capture,
            may_stand_by=config.standby,
            turns=TurnSettings(config.tasks_at_once),
        ),
        lambda report: _show(output, report),
    )
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)
    async with aggregator:
        stopping = asyncio.create_task(stop.wait())
        serving = asyncio.create_task(aggregator.wait())
        active = asyncio.create_task(aggregator.until_active())
        if aggregator.standby is not None:
            holder = aggregator.standby.holder
            text = f"another aggregator is active ({holder}); this one stands by; Ctrl-C stops it"
            output.show({"event": "standby", "holder": holder}, text)
        await asyncio.wait({stopping, serving, active}, return_when=asyncio.FIRST_COMPLETED)
        if active.done():
            links = [
                _link(host_and_port(url)[0], listener.port)
                for url, listener in zip(config.listen, listeners, strict=True)
            ]
            if options.config is None:
                FederationFolder(options.federation).set_link(_callable(links[0]))
            _greet(options, config, store.name, links, loop, output)
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        active.cancel()
        if serving.done():
            serving.result()
        serving.cancel()
    output.show({"event": "stopped"}, "stopped; unfinished tasks go on at the next start")
    return Exit.OK


def _greet(
    options: UpOptions,
    config: AggregatorConfig,
    store: str,
    links: list[str],
    loop: Loop,
    output: Output,
) -> None:
    on = loop.name if not loop.why else f"{loop.name} ({loop.why})"
    lines = [f"listening on {', '.join(links)}; Ctrl-C stops it", f"event loop: {on}"]
    if options.config is None:
        lines += [
            f"a device joins:  dreamshare enrol device NAME --federation {options.federation}",
            f"a task starts:   dreamshare run submit ALGORITHM --federation {options.federation}",
        ]
    if config.capture is not None:
        lines.append(f"everything that is received is written to {config.capture}")
    event = {"event": "listening", "links": links, "store": store, "loop": loop.name}
    output.show(event, "\n".join(lines))


def _show(output: Output, report: TaskReport) -> None:
    fields = report_fields(report)
    fields["name"] = fields.pop("event")
    task = report.status.task.hex()[:8]
    output.show({"event": "report", **fields}, f"{task} {report_line(report)}")


def _link(host: str, port: int) -> str:
    return f"grpcs://[{host}]:{port}" if ":" in host else f"grpcs://{host}:{port}"


def _callable(link: str) -> str:
    """Return a link that devices of this machine can call."""
    host, port = host_and_port(link)
    return _link("127.0.0.1", port) if host in _EVERYWHERE else link


def _address(link: str) -> str:
    """Return host:port as a listener wants it; raises ConfigError."""
    host, port = host_and_port(link)
    return _link(host, port).removeprefix("grpcs://")
