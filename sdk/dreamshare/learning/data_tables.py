"""Rows of a CSV file, or windows of a time series in one, read when they are needed.

    walking.csv:   x,y,z,who,activity
                   0.1,-0.2,9.8,anna,walk

    CsvWindows("walking.csv", ("x", "y", "z"), "activity", ("walk", "run"), Window(128, 64, "who"))

Shape legend: F columns of numbers, L rows of a window.

Rules:
- the first line names the columns; a row is a line, so that it is found again by where it begins;
- the file is read through once, at the beginning: every number has to be one. What is kept is where
  each row begins and its class, 16 bytes a row; the numbers are read again when they are needed;
- what does not hold is an error that names file and row, counted from 1 with the first line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints

_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """How windows are cut.

    Attributes:
        rows: L, 1 or more.
        stride: rows from one window's beginning to the next one's, 1 or more.
        group: a column; no window holds rows of two of its values. Empty: one series.
    """

    rows: int
    stride: int
    group: str = ""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.stride < 1:
            raise ConfigError("a window has 1 row or more, and a stride of 1 or more")


class _Table:
    """A CSV file of which rows are read by number."""

    def __init__(self, path: Path, columns: Sequence[str], label: str, group: str = "") -> None:
        self._path = path
        self._width = 0
        self._names = tuple(columns)
        starts: list[int] = []
        labels: list[str] = []
        self.breaks = [0]
        if not columns:
            raise ConfigError(f"{path}: name at least one column of numbers")
        before = None
        try:
            with path.open("rb") as file:
                header = self._split(file.readline(_LONGEST_LINE), 1)
                self._width = len(header)
                self._places = [self._place(header, name) for name in columns]
                at_label = self._place(header, label)
                at_group = self._place(header, group) if group else None
                start = file.tell()
                while line := file.readline(_LONGEST_LINE):
                    if line.strip():
                        number = len(starts) + 2
                        cells = self._split(line, number)
                        self._numbers(cells, number)
                        if at_group is not None and starts and cells[at_group] != before:
                            self.breaks.append(len(starts))
                        before = cells[at_group] if at_group is not None else None
                        starts.append(start)
                        labels.append(cells[at_label])
                    start = file.tell()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        self.breaks.append(len(starts))
        self.labels = labels
        self._starts = np.array(starts, np.int64)
        if not starts:
            raise ConfigError(f"{path} has no rows below its first line")

    def rows(self, first: int, count: int) -> Floats:
        """Return `count` rows from row `first` on, (count, F)."""
        try:
            with self._path.open("rb") as file:
                file.seek(int(self._starts[first]))
                found: list[list[float]] = []
                while len(found) < count:
                    line = file.readline(_LONGEST_LINE)
                    number = first + len(found) + 2
                    if not line:
                        raise self._broken(number, "it is gone: the file was changed")
                    if line.strip():
                        found.append(self._numbers(self._split(line, number), number))
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}") from None
        return np.array(found, np.float32)

    def _split(self, line: bytes, number: int) -> list[str]:
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            (cells,) = csv.reader([text], strict=True)
        except (UnicodeDecodeError, csv.Error, ValueError):
            raise self._broken(number, "it is not one line of CSV in UTF-8") from None
        if number > 1 and len(cells) != self._width:
            raise self._broken(number, f"it has {len(cells)} cells, the first line {self._width}")
        return cells

    def _place(self, header: list[str], name: str) -> int:
        if name not in header:
            raise ConfigError(f"{self._path}: there is no column {name!r}; it has {header}")
        return header.index(name)

    def _numbers(self, cells: list[str], number: int) -> list[float]:
        found = []
        for place, name in zip(self._places, self._names, strict=True):
            try:
                value = float(cells[place])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise self._broken(number, f"column {name!r} holds no finite number")
            found.append(value)
        return found

    def _broken(self, number: int, what: str) -> ConfigError:
        return ConfigError(f"{self._path}, row {number}: {what}")


def _numbered(path: Path, labels: Sequence[str], classes: Sequence[str]) -> Ints:
    numbers = {name: number for number, name in enumerate(classes)}
    for row, label in enumerate(labels, start=2):
        if label not in numbers:
            raise ConfigError(
                f"{path}, row {row}: {label!r} is none of the classes {list(classes)}"
            )
    return np.array([numbers[label] for label in labels], np.int64)


class CsvRows:
    """Each row is an example of shape (F,), or of `shape`; see `data_lazy.Source`.

    Args:
        path: the file.
        columns: of numbers, in the model's order.
        label: the column with the class.
        classes: what that column holds, in the order of the model's classes.
        shape: of an example, F numbers in all; empty: (F,).

    Raises:
        ConfigError: the file cannot be read, or a row does not hold.
    """

    def __init__(
        self,
        path: Path | str,
        columns: Sequence[str],
        label: str,
        classes: Sequence[str],
        shape: tuple[int, ...] = (),
    ) -> None:
        self._table = _Table(Path(path), columns, label)
        self._labels = _numbered(Path(path), self._table.labels, classes)
        self._shape = shape or (len(columns),)
        if math.prod(self._shape) != len(columns):
            raise ConfigError(f"{len(columns)} columns do not make an example of shape {shape}")

    def labels(self) -> Ints:
        return self._labels

    def read(self, places: Ints) -> Floats:
        rows = [self._table.rows(int(place), 1).reshape(self._shape) for place in places]
        return np.stack(rows)


class CsvWindows:
    """Each window is an example of shape (F, L) with its last row's class; see `data_lazy.Source`.

    Args:
        path, columns, label, classes: as of `CsvRows`.
        window: how they are cut.

    Raises:
        ConfigError: the file cannot be read, a row does not hold, or no window fits.
    """

    def __init__(
        self,
        path: Path | str,
        columns: Sequence[str],
        label: str,
        classes: Sequence[str],
        window: Window,
    ) -> None:
        self._table = _Table(Path(path), columns, label, window.group)
        self._rows = window.rows
        breaks = self._table.breaks
        self._firsts = [
            first
            for begin, end in pairwise(breaks)
            for first in range(begin, end - window.rows + 1, window.stride)
        ]
        if not self._firsts:
            raise ConfigError(f"{path} has no {window.rows} rows in a row")
        every = _numbered(Path(path), self._table.labels, classes)
        self._labels: Ints = every[np.array(self._firsts) + window.rows - 1]

    def labels(self) -> Ints:
        return self._labels

    def read(self, places: Ints) -> Floats:
        found = [self._table.rows(self._firsts[place], self._rows).T for place in places]
        return np.stack(found)
