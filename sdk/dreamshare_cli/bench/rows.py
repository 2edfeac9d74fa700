"""What a cell writes: JSON lines, one at once, in a file of its own.

    {"event": "start", "key": "...", "fingerprint": "...", "versions": {...}}
    {"event": "round", "round": 1, "devices": [0.61, ...], "student": null, "bytes_up": [...], ...}
    {"event": "end", "test": [...], "seconds": 12.3, ...}

Rules:
- a cell is finished exactly when its file ends in an "end" line under a "start" line with its own
  fingerprint; anything else is begun anew;
- accuracies are 0 to 1, bytes are counted on the wire, set-up of epochs apart, for each device.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dreamshare.algorithms.trees import CLASS, Tree, from_tree, to_tree
from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell

MOST_BYTES = 1 << 28
DEVICES_IOU, STUDENT_IOU = "devices_mean_iou", "student_mean_iou"
"""Metrics of a cell whose labels are of pixels: 0 to 1, on the test examples."""


@dataclass(frozen=True, slots=True)
class Start:
    """A cell has begun: which, and with what."""

    key: str
    fingerprint: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Round:
    """One evaluation.

    Attributes:
        round: outer loops done, from 1; 0 is what a baseline's warm-up reached. Of two lines with
            one number the later one holds.
        devices: accuracy of each device on the validation examples.
        student: of the student, where there is one.
        bytes_up, bytes_down: of each device so far, set-up apart; empty for baselines.
        setup_up, setup_down: bytes of epochs' set-ups of each device so far.
        compute_s: seconds of one thread that each device has learnt and answered, cryptography
            apart.
    """

    round: int
    devices: tuple[float, ...]
    student: float | None = None
    bytes_up: tuple[int, ...] = ()
    bytes_down: tuple[int, ...] = ()
    setup_up: tuple[int, ...] = ()
    setup_down: tuple[int, ...] = ()
    compute_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Pictures:
    """A few public pictures: one for each class of the last cycle.

    Attributes:
        shape: (N, C, H, W).
        labels: of each, N.
        pixels: bytes in base64, 0 for the lowest value and 255 for the highest.
    """

    shape: tuple[int, int, int, int]
    labels: tuple[int, ...]
    pixels: str


@dataclass(frozen=True, slots=True)
class End:
    """A cell is finished; the test examples were looked at for this line and at no other time.

    Attributes:
        test: accuracy of each device on the test examples.
        student: of the student, where there is one.
        own, others: where there are domains: accuracy of each device in its own one, and the mean
            over the others; else empty.
        parameters: of each device's net.
        examples: of each device.
        sums: masked sums that were opened.
        seconds: wall time of the cell.
        cpu_s: of all its threads.
        metrics: the algorithm's own.
        pictures: what its result shows, where it draws.
    """

    test: tuple[float, ...]
    student: float | None
    own: tuple[float, ...]
    others: tuple[float, ...]
    parameters: tuple[int, ...]
    examples: tuple[int, ...]
    sums: int
    seconds: float
    cpu_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    pictures: Pictures | None = None


Line = Start | Round | End

_EVENTS: Mapping[str, type[Start | Round | End]] = {
    "start": Start,
    "round": Round,
    "end": End,
}


def to_line(line: Line) -> str:
    """Return the JSON of a line, without its end."""
    event = next(name for name, kind in _EVENTS.items() if isinstance(line, kind))
    return json.dumps({"event": event, **fields_of(line)}, allow_nan=False)


def fields_of(value: object) -> dict[str, Tree]:
    """Return a dataclass as a tree without the names of its classes."""
    tree = _bare(to_tree(value))
    if not isinstance(tree, dict):
        raise ConfigError(f"a {type(value).__name__} has no fields")
    return tree


def from_line(text: str) -> Line:
    """Return what `to_line` wrote; ConfigError where it is something else."""
    try:
        tree: Tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not a line of JSON: {error}") from None
    if not isinstance(tree, dict) or tree.get("event") not in _EVENTS:
        raise ConfigError(f"a line's event must be one of {', '.join(_EVENTS)}")
    kind = _EVENTS[str(tree.pop("event"))]
    return from_tree(tree, kind)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that a finished cell wrote."""

    start: Start
    rounds: tuple[Round, ...]
    end: End


def finished(cell: Cell, path: Path) -> Record | None:
    """Return what a cell wrote to `path`, where it is finished and still the same cell."""
    lines = _lines(path)
    if len(lines) < 2 or not (isinstance(lines[0], Start) and isinstance(lines[-1], End)):
        return None
    rounds = [line for line in lines[1:-1] if isinstance(line, Round)]
    if lines[0].fingerprint != cell.fingerprint or len(rounds) != len(lines) - 2:
        return None
    return Record(lines[0], tuple(rounds), lines[-1])


def rounds_in(path: Path) -> int | None:
    """Return how many evaluations an unfinished file holds; None without a file."""
    if not path.is_file():
        return None
    return sum(isinstance(line, Round) for line in _lines(path))


def _lines(path: Path) -> tuple[Line, ...]:
    """Return a file's whole lines; a torn last one, of a process that was killed, is left out."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return ()
    lines: list[Line] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(from_line(text))
        except ConfigError:
            break
    return tuple(lines)


def _bare(tree: Tree) -> Tree:
    match tree:
        case dict():
            return {name: _bare(each) for name, each in tree.items() if name != CLASS}
        case list():
            return [_bare(each) for each in tree]
    return tree
