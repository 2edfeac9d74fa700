"""How a population behaves: who is there, how fast, who vanishes and where, who answers rubbish.

Rules:
- everything is drawn from the seed, the device's number and the step's: no device's fate depends on
  another's, on the grouping or on who computes it;
- a trace says it device by device instead, as measured on a fleet.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.simulate.values import Corruption, LossStage, Traits

MOST_TRACE_BYTES = 1 << 28
DAY_H = 24.0


@dataclass(frozen=True, slots=True)
class Losses:
    """Chances, each 0 to 1, that a device vanishes instead of sending this; their sum is at most 1.

    Attributes:
        advertise: its keys, at the start of a set-up.
        shares: the shares that it deals: late in a set-up.
        masked_input: its masked vector: its masks have to be rebuilt.
        agree: its signature under the survivors: it is in the sum, and does not help to open it.
        unmask_response: its shares: the same, one flow later.
    """

    advertise: float = 0.0
    shares: float = 0.0
    masked_input: float = 0.0
    agree: float = 0.0
    unmask_response: float = 0.0

    def __post_init__(self) -> None:
        chances = [getattr(self, stage) for stage in get_args(LossStage) if stage]
        if min(chances) < 0 or sum(chances) > 1:
            raise ConfigError("losses: chances are 0 to 1, together at most 1")

    def stage(self, drawn: float) -> LossStage:
        """Return where a device is lost that drew this number, 0 to 1."""
        stages: tuple[LossStage, ...] = get_args(LossStage)
        for stage in stages[1:]:
            drawn -= getattr(self, stage)
            if drawn < 0:
                return stage
        return ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """A distribution of behaviour; by default everybody is there, at once and for good.

    Attributes:
        arrival_s: devices of a step come within so many simulated seconds, evenly; 0: at once.
        present: mean chance that a device takes part in a step, above 0 to 1.
        diurnal: swing of that chance over the day, 0 (none) to 1: a cosine with its top at
            `peak_hour` of the device's own time; each device has a time zone of its own.
        peak_hour: 0 to below 24.
        step_hours: hours of the day that a step moves on, >= 0.
        compute_s: median of the simulated seconds that an answer takes, >= 0.
        compute_spread: standard deviation of its logarithm, >= 0 (0.5: one in six takes 1.6 times
            the median or more).
        stragglers: part of the devices that take `straggler_factor` times as long, 0 to 1.
        straggler_factor: >= 1.
        losses: who vanishes where, at each step anew; a device is back at the next.
        corrupt: part of the devices, always the same ones, that answer `corruption`; 0 to 1.
        corruption: "flipped" or "random".
        trace: of each device in turn, from a file (`read_trace`); instead of all the above.
    """

    arrival_s: float = 0.0
    present: float = 1.0
    diurnal: float = 0.0
    peak_hour: float = 2.0
    step_hours: float = 0.0
    compute_s: float = 0.0
    compute_spread: float = 0.0
    stragglers: float = 0.0
    straggler_factor: float = 10.0
    losses: Losses = Losses()
    corrupt: float = 0.0
    corruption: Corruption = "random"
    trace: tuple[Traits | None, ...] = ()

    def __post_init__(self) -> None:
        for name in ("diurnal", "stragglers", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"conditions: {name} is {getattr(self, name)}; use 0 to 1")
        for name in ("arrival_s", "step_hours", "compute_s", "compute_spread"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"conditions: {name} is {getattr(self, name)}; use 0 or more")
        if not 0 < self.present <= 1 or not 0 <= self.peak_hour < DAY_H:
            raise ConfigError("conditions: present is above 0 to 1, peak_hour 0 to below 24")
        if self.straggler_factor < 1:
            raise ConfigError("conditions: straggler_factor is 1 or more")

    def traits(self, seed: int, device: int, step: int) -> Traits | None:
        """Return how a device behaves in a step; None where it is away."""
        if self.trace:
            return self.trace[device % len(self.trace)]
        own = np.random.default_rng([seed, device, 1])  # what a device is, whatever the step
        zone, slow, corrupt = own.random(3)
        now = np.random.default_rng([seed, device, 2, step])
        present, arrives, lost = now.random(3)
        speed = math.exp(self.compute_spread * float(now.normal()))
        hour = DAY_H * float(zone) + self.step_hours * step
        swing = self.diurnal * math.cos(2 * math.pi * (hour - self.peak_hour) / DAY_H)
        if present >= self.present * (1 + swing):
            return None
        factor = self.straggler_factor if slow < self.stragglers else 1.0
        return Traits(
            arrives_s=self.arrival_s * float(arrives),
            compute_s=self.compute_s * speed * factor,
            lost_at=self.losses.stage(float(lost)),
            corrupt=self.corruption if corrupt < self.corrupt else "",
        )


def read_trace(path: Path) -> tuple[Traits | None, ...]:
    """Return the devices of a trace: CSV with the columns of `Traits` and, at will, `present`.

    A device is away where `present` is 0. Larger populations begin at the first line again.

    Raises:
        ConfigError: the file cannot be read, a column is unknown or a value out of range.
    """
    try:
        if path.stat().st_size > MOST_TRACE_BYTES:
            raise ConfigError(f"{path} is larger than {MOST_TRACE_BYTES} bytes")
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            columns = set(rows.fieldnames or ())
            unknown = columns - {"arrives_s", "compute_s", "lost_at", "corrupt", "present"}
            if unknown or not columns:
                raise ConfigError(f"{path}: unknown columns {sorted(unknown)}")
            return _not_empty(path, [_row(path, row, rows.line_num) for row in rows])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no CSV file: {error}") from None


def _not_empty(path: Path, devices: Sequence[Traits | None]) -> tuple[Traits | None, ...]:
    if not devices:
        raise ConfigError(f"{path} has no device")
    return tuple(devices)


def _row(path: Path, row: dict[str, str], line: int) -> Traits | None:
    stages = {stage: stage for stage in get_args(LossStage)}
    faults = {fault: fault for fault in get_args(Corruption)}
    try:
        if not float(row.get("present") or 1):
            return None
        return Traits(
            float(row.get("arrives_s") or 0),
            float(row.get("compute_s") or 0),
            stages[row.get("lost_at") or ""],
            faults[row.get("corrupt") or ""],
        )
    except (ConfigError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}, line {line}: {error}") from None
