"""What a person sees while the demo runs: a live table, or plain lines where there is no terminal.

Rules:
- both go to standard error, so that standard output stays one JSON object with `--json`;
- a `Snapshot` is a value; nothing here reads a file, a socket or a clock;
- the first snapshot is shown before anything is started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dreamshare_cli.demo.report import megabytes
from dreamshare_cli.demo.wording import WORDINGS

PLAIN_EVERY_S = 5.0
"""Without a terminal a line is written when something changed, or after this many seconds."""


class DeviceState(StrEnum):
    """Where one agent's process stands."""

    STARTING = "starting"
    READY = "ready"
    WORKING = "working"
    KILLED = "killed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One line of the table; accuracies in percent, None while unknown.

    `runtime` is "torch" or "onnx", empty before the device has built its net.
    """

    name: str
    architecture: str
    runtime: str
    state: DeviceState
    bytes_up: int = 0
    bytes_down: int = 0
    before: float | None = None
    now: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The demo at one moment.

    Attributes:
        elapsed: seconds since the command was typed.
        algorithm: that runs.
        phase: what is going on, in a few words.
        round, rounds: of this algorithm that ended, and that were asked for; CoDream's cycles.
        sums: masked sums that it opened so far.
        part: how much of the whole demo is done, 0 to 1.
        devices: in order.
    """

    elapsed: float
    algorithm: str
    phase: str
    round: int
    rounds: int
    sums: int
    part: float
    devices: Sequence[DeviceView]

    @property
    def alive(self) -> int:
        """Devices that were not killed."""
        return sum(d.state is not DeviceState.KILLED for d in self.devices)


class Display(Protocol):
    """Where snapshots go; used as a context manager, so that a terminal is left tidy."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Show the present state."""
        ...

    def say(self, text: str) -> None:
        """Write one sentence that stays."""
        ...


class LiveTable:
    """Redraws a table in place. `console` writes to standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        self._live.update(render(snapshot), refresh=True)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)


class PlainLines:
    """Writes a line when phase, round or the number of live devices changed, else now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: tuple[str, str, int, int] | None = None
        self._written = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush()

    def show(self, snapshot: Snapshot) -> None:
        key = (snapshot.algorithm, snapshot.phase, snapshot.round, snapshot.alive)
        if key == self._last and snapshot.elapsed - self._written < PLAIN_EVERY_S:
            return
        self._last, self._written = key, snapshot.elapsed
        self.say(plain_line(snapshot))

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def plain_line(snapshot: Snapshot) -> str:
    """Return the snapshot as one line of text."""
    parts = [
        f"[{snapshot.elapsed:5.1f} s] {snapshot.algorithm}: {snapshot.phase}",
        f"{_unit(snapshot)} {snapshot.round}/{snapshot.rounds}",
        f"{snapshot.sums} sums",
        f"{snapshot.alive}/{len(snapshot.devices)} devices",
    ]
    alive = (d for d in snapshot.devices if d.state is not DeviceState.KILLED)
    known = [d.now for d in alive if d.now is not None]
    if known:
        parts.append(f"mean accuracy {sum(known) / len(known):.1f} %")
    return ", ".join(parts)


def render(snapshot: Snapshot) -> RenderableType:
    """Return the table; it fits 80 columns."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text("Dreamshare demo", style="bold magenta"),
        Text(snapshot.algorithm, style="bold"),
        Text(f"{_unit(snapshot)} {snapshot.round} of {snapshot.rounds}"),
        Text(f"{snapshot.sums} masked sums"),
        Text(f"{snapshot.alive} of {len(snapshot.devices)} alive"),
        Text(f"{snapshot.elapsed:.0f} s", style="dim"),
    )
    progress = Table.grid(padding=(0, 2))
    progress.add_row(
        ProgressBar(total=1.0, completed=snapshot.part, width=36, complete_style="magenta"),
        Text(snapshot.phase, style="italic"),
    )
    table = Table(
        box=None, padding=(0, 1), header_style="dim", pad_edge=False, collapse_padding=True
    )
    for name in ("device", "net", "", ""):
        table.add_column(name)
    for name in ("up", "down", "before", "now"):
        table.add_column(name, justify="right", min_width=7)
    table.add_column("", justify="right", min_width=5)
    for device in snapshot.devices:
        table.add_row(*_cells(device))
    return Padding(Group(head, progress, Text(), table), (1, 0, 1, 1))


def _cells(device: DeviceView) -> tuple[Text, ...]:
    killed = device.state is DeviceState.KILLED
    tone = "red" if killed else ""
    change = ""
    if device.before is not None and device.now is not None and device.now != device.before:
        change = f"{device.now - device.before:+.1f}"
    return (
        Text(device.name, style=tone or "bold"),
        Text(device.architecture, style=tone),
        Text(device.runtime, style=tone or "dim"),
        Text(device.state.value, style=_TONES[device.state]),
        Text(megabytes(device.bytes_up), style=tone),
        Text(megabytes(device.bytes_down), style=tone),
        Text(_percent(device.before), style=tone),
        Text(_percent(device.now), style=tone or "bold"),
        Text(change, style=tone or ("green" if change.startswith("+") else "yellow")),
    )


def _unit(snapshot: Snapshot) -> str:
    return WORDINGS[snapshot.algorithm].rounds[1]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


_TONES = {
    DeviceState.STARTING: "dim",
    DeviceState.READY: "cyan",
    DeviceState.WORKING: "green",
    DeviceState.KILLED: "bold red",
    DeviceState.DONE: "green",
}
