"""What a cell of a population keeps beside its cohorts, so that one that was killed goes on.

    FOLDER/start.jsonl     its first line; another cell or installation begins anew
    FOLDER/course.bin      what was counted and told after the last step that was merged
    FOLDER/steps/          cohorts (`dreamshare.simulate.keeping`)

Rules:
- a step is counted once: the record names the next one, and a step that comes again because the run
  was killed before its cohorts were put away changes nothing;
- a file appears whole or not at all; the folder is removed when the cell is finished.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.simulate.keeping import write_whole
from dreamshare_cli.bench.rows import Line, Start, from_line, to_line


@dataclass(frozen=True, slots=True)
class Counted:
    """How far a cell has come.

    Attributes:
        step: the next one.
        cycle, asked, rounds, sums: of the algorithm, as `crowd.Course` counts them.
        sent: bytes of each device, (4, D): up, down, and both of set-ups.
        seconds: of each device, (D,).
        lines: JSON of the evaluations so far.
        student: its state; of no length where there is none.
        wall_s, cpu_s: what the cell has taken so far.
    """

    step: int
    cycle: int
    asked: bool
    rounds: int
    sums: int
    sent: NDArray[np.int64]
    seconds: NDArray[np.float64]
    lines: tuple[str, ...]
    student: NDArray[np.uint8]
    wall_s: float
    cpu_s: float

    def told(self) -> tuple[Line, ...]:
        """Return the evaluations."""
        return tuple(from_line(text) for text in self.lines)


class CrowdFolder:
    """The folder of one cell.

    Args:
        folder: need not be there; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def steps(self) -> Path | None:
        """Where the cohorts of the present step are kept."""
        return None if self._folder is None else self._folder / "steps"

    def open(self, start: Start) -> Counted | None:
        """Return how far this cell had come with this installation; None begins it anew."""
        if self._folder is None:
            return None
        told, text = self._folder / "start.jsonl", to_line(start) + "\n"
        if not told.is_file() or told.read_text(encoding="utf-8") != text:
            self.remove()
            write_whole(told, text.encode())
        course = self._folder / "course.bin"
        return decode_state(course.read_bytes(), Counted) if course.exists() else None

    def keep(self, counted: Counted) -> None:
        """Put a step away."""
        if self._folder is not None:
            write_whole(self._folder / "course.bin", encode_state(counted))

    def remove(self) -> None:
        """The cell is finished, or what is here is another's."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def crowd_folder(path: Path) -> Path:
    """Return the folder of the cell whose lines are at `path`."""
    return path.with_suffix(".run")
