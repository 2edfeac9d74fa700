"""Reads what the devices of the demo wrote for themselves: their reports and their notes.

Rules:
- this is the only way in which an accuracy reaches the demo's table and result: from files on the
  device's own disk, which the aggregator never sees;
- files are read as they grow; a line that is not finished yet waits for the next reading;
- accuracies become percent here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError

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
        curve: accuracy in percent: after the warm-up, then after each cycle.
        independent_curve, balanced_curve: of its companions, the same places.
        sums: closed masked sums that it took part in.
        bytes_up, bytes_down: application bytes to and from the aggregator.
        over: how its task ended, empty before.
    """

    id: str = ""
    architecture: str = ""
    runtime: str = ""
    examples: int = 0
    tested: int = 0
    parameters: int = 0
    curve: tuple[float, ...] = ()
    independent_curve: tuple[float, ...] = ()
    balanced_curve: tuple[float, ...] = ()
    sums: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    over: str = ""


class ReportReader:
    """Follows the two files of one device; they need not exist yet."""

    def __init__(self, report: Path, notes: Path) -> None:
        self._report = _Growing(report)
        self._notes = _Growing(notes)
        self._id = ""
        self._over = ""
        self._equipped: Line = {}
        self._last: Line = {}
        self._curve: list[float] = []
        self._alone: dict[str, list[float]] = {"independent": [], "balanced": []}

    def read(self) -> DeviceReport:
        """Return everything up to now; raises ConfigError where a file is not what it should be."""
        for line in self._report.lines():
            self._follow_report(line)
            self._last = line
        for line in self._notes.lines():
            self._follow_notes(line)
        return DeviceReport(
            id=self._id,
            architecture=str(self._equipped.get("architecture", "")),
            runtime=str(self._equipped.get("runtime", "")),
            examples=_whole(self._equipped, "examples"),
            tested=_whole(self._equipped, "tested"),
            parameters=_whole(self._equipped, "parameters"),
            curve=tuple(self._curve),
            independent_curve=tuple(self._alone["independent"]),
            balanced_curve=tuple(self._alone["balanced"]),
            sums=_whole(self._last, "rounds"),
            bytes_up=_whole(self._last, "bytes_up"),
            bytes_down=_whole(self._last, "bytes_down"),
            over=self._over,
        )

    def _follow_report(self, line: Line) -> None:
        match line.get("event"):
            case "started":
                self._id = str(line.get("device", ""))
            case "learnt":
                self._curve.append(_percent(line, "after"))
            case "task-over":
                self._over = str(line.get("outcome", ""))

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
