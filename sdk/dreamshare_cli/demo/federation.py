"""The demo's federation on this machine: a folder with fresh keys, one aggregator, N agents.

    OUT/federation/            made anew: authority, aggregator, operator (`FederationFolder`)
    OUT/federation/devices/device-1/   identity, settings, journal, report and notes of one device
    OUT/logs/                  output of each process

Rules:
- the processes are those that anybody would start: `dreamshare up` and `dreamshare agent run`, over
  gRPC with mutual TLS on loopback;
- each agent has its own settings file and its own folder and finds nothing else.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.evaluate import Evaluate
from dreamshare.clock import Clock
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.demo.device_settings import DeviceSettings
from dreamshare_cli.demo.methods import methods
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.processes import Children
from dreamshare_cli.demo.reports import ReportReader
from dreamshare_cli.federation import FederationFolder, make_folder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig

AGGREGATOR = "aggregator"
FACTORY = "dreamshare_cli.demo.device:make_equipment"


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the demo.

    Attributes:
        name: of its process and folder, e.g. "device-1".
        folder: everything that is its own.
        id: 32 hex digits.
    """

    name: str
    folder: Path
    id: str

    @property
    def settings(self) -> Path:
        """Its agent.toml."""
        return self.folder / "agent.toml"

    def reader(self) -> ReportReader:
        """Return a reader of what it writes for itself."""
        return ReportReader(self.folder / "report.jsonl", self.folder / "notes.jsonl")


@dataclass(frozen=True, slots=True)
class DemoFederation:
    """Everything that was laid out for a run.

    Attributes:
        link: where the aggregator will listen.
        folder: keys and settings.
        logs: where the processes' output goes.
        devices: in order.
        capture: file for the aggregator's capture, or None.
    """

    link: str
    folder: FederationFolder
    logs: Path
    devices: tuple[Device, ...]
    capture: Path | None

    @classmethod
    def lay_out(cls, options: DemoOptions, clock: Clock, entropy: Entropy) -> DemoFederation:
        """Make folders, keys and settings; raises ConfigError where the folder cannot be written.

        Keys are made here because this is a demo: a real device makes its own.
        """
        link = f"grpcs://127.0.0.1:{_free_port()}"
        make_folder(options.out)
        logs = options.out / "logs"
        make_folder(logs)
        folder = FederationFolder(options.out / "federation")
        folder.create(link, entropy, clock.now())
        devices = []
        for number in range(options.devices):
            name = f"device-{number + 1}"
            place = folder.device(name)
            identity = folder.issue(Role.DEVICE, name, place / "device.key", clock, entropy)
            device = Device(name, place, identity.id.hex())
            device.settings.write_text(_settings(link, number, options), encoding="utf-8")
            devices.append(device)
        return cls(link, folder, logs, tuple(devices), options.capture)

    async def start(self, children: Children) -> None:
        """Start every process; agents call until the aggregator answers."""
        command = [sys.executable, "-m", "dreamshare_cli"]
        up = [*command, "up", "--federation", str(self.folder.folder), "--listen", self.link]
        up += ["--store", f"sqlite:///{(self.folder.folder / 'rounds.db').absolute()}"]
        if self.capture is not None:
            up += ["--capture", str(self.capture)]
        await children.start(AGGREGATOR, up)
        for device in self.devices:
            await children.start(
                device.name, [*command, "agent", "run", "--config", str(device.settings)]
            )

    def operator(self) -> tuple[GrpcLink, Identity]:
        """Return the operator's way to the aggregator, and its identity."""
        identity = Identity.load(self.folder.operator)
        return GrpcLink(self.link, TlsFiles.of(identity)), identity


def _settings(link: str, number: int, options: DemoOptions) -> str:
    notes = Path(f"device-{number + 1}") / "notes.jsonl"
    place = (options.out / "federation" / "devices").absolute()
    learner = DeviceSettings(
        number,
        options.devices,
        options.seed,
        options.cycles,
        place / notes,
        options.runtime.of(number),
        options.algorithm,
    ).as_table()
    config = AgentConfig(
        link=link,
        identity=Path("device.key"),
        store=Path("state"),
        report=Path("report.jsonl"),
        threads=1,
        seed=options.seed,
        algorithms=_algorithms(options),
        learner=LearnerConfig(FACTORY, learner),
    )
    return settings_text(config)


def _algorithms(options: DemoOptions) -> tuple[str, ...]:
    """Return what the devices are willing to compute: what will be asked for, and to be tested."""
    asked = methods(options.algorithm, options.seed, options.cycles)
    return (*(config_json_of(method.config)[0] for method in asked), Evaluate.name)


def _free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
