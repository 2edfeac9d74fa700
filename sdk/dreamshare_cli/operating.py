"""What the verbs of `dreamshare run` share: who the operator is, and how answers are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from dreamshare.client import Client
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import DeviceStatus, TaskPhase, TaskReport, TaskStatus
from dreamshare.results import Artifact
from dreamshare.transport.ways import link_to
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_cli.output import Output
from dreamshare_crypto.identity import Identity

T = TypeVar("T")
Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Where:
    """Which aggregator, and as whom.

    Attributes:
        federation: a development federation's folder; gives what the others leave open.
        link: grpcs://host:port or a broker's address, or None.
        identity: an operator's or a viewer's identity file, or None.
        patience_s: seconds until a first connection is given up.
    """

    federation: Path
    link: str | None
    identity: Path | None
    patience_s: float

    def client(self) -> Client:
        """Return a client; raises ConfigError where a part is missing."""
        folder = FederationFolder(self.federation)
        if not folder.exists() and (self.link is None or self.identity is None):
            raise ConfigError(
                f"there is no federation in {self.federation}: give --federation, or both "
                "--link and --identity"
            )
        identity = Identity.load(self.identity or folder.operator)
        link = link_to(self.link or folder.link(), identity)
        return Client(link, identity, patience_s=self.patience_s)


def with_client(where: Where, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do the work, hang up."""

    async def connected() -> T:
        async with where.client() as client:
            return await work(client)

    return asyncio.run(connected())


def change_task(
    where: Where,
    task: str,
    change: Callable[[Client, TaskId], Awaitable[TaskStatus]],
    as_json: bool,
) -> None:
    """Change the task whose id begins with `task`, and show its status then."""

    async def work(client: Client) -> TaskStatus:
        return await change(client, await client.find(task))

    status = with_client(where, work)
    Output(as_json).show(status_fields(status), status_line(status))


def exit_of_status(status: TaskStatus) -> Exit:
    """Return the exit code of a verb that followed a task to its end."""
    return Exit.OK if status.phase is TaskPhase.DONE else Exit.FAILED


def status_fields(status: TaskStatus) -> Fields:
    """Return a status as JSON fields."""
    return {
        **asdict(status),
        "task": status.task.hex(),
        "phase": status.phase.value,
        "faulty": [device.hex() for device in status.faulty],
    }


def status_line(status: TaskStatus) -> str:
    """Return a status as one line."""
    masked = "all masked" if status.secure_aggregation else "NOT all masked"
    planned = f"/{status.planned}" if status.planned else ""
    sums = f"sums {status.aggregations}{planned}" + (f" ({masked})" if status.aggregations else "")
    faulty = f" ({len(status.faulty)} faulty)" if status.faulty else ""
    return (
        f"{status.task.hex()[:8]}  {status.phase.value:<10}  {status.algorithm:<12}  "
        f"cycle {status.cycle}  {sums}  "
        f"devices {status.alive}/{status.roster}{faulty}  {status.name or '-'}  {status.detail}"
    )


def report_fields(report: TaskReport) -> Fields:
    """Return a report as JSON fields."""
    return {
        "number": report.number,
        "event": report.event,
        "metrics": dict(report.metrics),
        "status": status_fields(report.status),
    }


def report_line(report: TaskReport) -> str:
    """Return a report as one line."""
    metrics = "".join(f"  {name} {value:.4g}" for name, value in report.metrics.items())
    return f"{report.number:>5}  {report.event:<11}  {report.status.detail}{metrics}"


def device_fields(device: DeviceStatus) -> Fields:
    """Return a device as JSON fields."""
    return {
        **asdict(device),
        "device": device.device.hex(),
        "algorithms": list(device.algorithms),
    }


def device_line(device: DeviceStatus) -> str:
    """Return a device as one line."""
    here = "here" if device.connected else "away"
    return (
        f"{device.device.hex()}  {here}  up {device.bytes_up:>11,} B  "
        f"down {device.bytes_down:>11,} B  {device.label}"
    )


def artifact_line(artifact: Artifact) -> str:
    """Return an array of a result as one line."""
    shape = " x ".join(map(str, artifact.shape)) or "scalar"
    return (
        f"{artifact.sha256[:8]}  {artifact.size:>11,} B  {artifact.dtype:<7}  {shape:<16}  "
        f"{artifact.name}"
    )
