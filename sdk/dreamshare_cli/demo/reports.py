"""Reads what the devices of the demo wrote for themselves: their reports and their notes.

Rules:
- this is the only way in which an accuracy reaches the demo's table and result: from files on the
  device's own disk, which the aggregator never sees;
- files are read as they grow; a line that is not finished yet waits for the next reading;
- accuracies become percent here;
- bytes and sums of a task are what was counted since the task before it; the first one's bytes have
  those of joining in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.result import Part

Line = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What one device has told its own disk so far.

    Attributes:
        id: 32 hex digits, empty before it has started.
        architecture: of its net, empty before it was built.
        runtime: what it computes with, empty before its net was built.
        examples, tested: its training digits, and those that accuracy is measured on.
        parameters: of its net.
        independent_curve, balanced_curve: of its companions: after the warm-up, then each cycle.
        bytes_up, bytes_down: application bytes to and from the aggregator.
        parts: what it did in each task, by the task's id (32 hex digits), in order.
    """

    id: str = ""
    architecture: str = ""
    runtime: str = ""
    examples: int = 0
    tested: int = 0
    parameters: int = 0
    independent_curve: tuple[float, ...] = ()
    balanced_curve: tuple[float, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def now(self) -> Part:
        """Its part in the newest task."""
        return next(reversed(tuple(self.parts.values())), Part())


class ReportReader:
    """Follows the two files of one device; they need not exist yet."""

    def __init__(self, report: Path, notes: Path) -> None:
        self._report = _Growing(report)
        self._notes = _Growing(notes)
        self._id = ""
        self._equipped: Line = {}
        self._counts = Part()
        self._before = Part()
        self._parts: dict[str, Part] = {}
        self._alone: dict[str, list[float]] = {"independent": [], "balanced": []}

    def read(self) -> DeviceReport:
        """Return everything up to now; raises ConfigError where a file is not what it should be."""
        for line in self._report.lines():
            self._follow_report(line)
        for line in self._notes.lines():
            self._follow_notes(line)
        return DeviceReport(
            id=self._id,
            architecture=str(self._equipped.get("architecture", "")),
            runtime=str(self._equipped.get("runtime", "")),
            examples=_whole(self._equipped, "examples"),
            tested=_whole(self._equipped, "tested"),
            parameters=_whole(self._equipped, "parameters"),
            independent_curve=tuple(self._alone["independent"]),
            balanced_curve=tuple(self._alone["balanced"]),
            bytes_up=self._counts.bytes_up,
            bytes_down=self._counts.bytes_down,
            parts=dict(self._parts),
        )

    def _follow_report(self, line: Line) -> None:
        if line.get("event") == "started":
            self._id = str(line.get("device", ""))
        task = str(line.get("task", ""))
        if task and task not in self._parts:
            self._before = self._counts if self._parts else Part()
            self._parts[task] = Part()
        self._counts = Part(
            bytes_up=_whole(line, "bytes_up"),
            bytes_down=_whole(line, "bytes_down"),
            sums=_whole(line, "rounds"),
        )
        if task:
            self._parts[task] = self._after(self._parts[task], line)

    def _after(self, part: Part, line: Line) -> Part:
        """Return a part after a line of its task; the lines' counts run on over all tasks."""
        learnt = line.get("event") == "learnt"
        over = line.get("event") == "task-over"
        return Part(
            curve=(*part.curve, _percent(line, "after")) if learnt else part.curve,
            bytes_up=self._counts.bytes_up - self._before.bytes_up,
            bytes_down=self._counts.bytes_down - self._before.bytes_down,
            sums=self._counts.sums - self._before.sums,
            over=str(line.get("outcome", "")) if over else part.over,
        )

    def _follow_notes(self, line: Line) -> None:
        match line.get("event"):
            case "equipped":
                self._equipped = line
            case "alone":
                self._alone[str(line.get("kind"))].append(_percent(line, "accuracy"))


class _Growing:
    """Yields each finished JSON line of a file once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def lines(self) -> list[Line]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                new = file.read()
        except FileNotFoundError:
            return []
        finished = new[: new.rfind(b"\n") + 1]
        self._position += len(finished)
        try:
            return [json.loads(line) for line in finished.splitlines()]
        except ValueError:
            raise ConfigError(f"{self._path} holds a line that is not JSON") from None


def _percent(line: Line, name: str) -> float:
    value = line.get(name)
    if not isinstance(value, int | float):
        raise ConfigError(f"a device's report has no {name!r} where an accuracy was expected")
    return 100.0 * value


def _whole(line: Line, name: str) -> int:
    value = line.get(name, 0)
    if not isinstance(value, int):
        raise ConfigError(f"a device's report has {value!r} for {name!r}")
    return value
