"""The device's own report: JSON lines in a file that stays on the device.

    {"event": "started", "device": "9f…", "label": "VGG-like", "accuracy": 0.61, …}
    {"event": "round", "task": "3c…", "round": 4, "step": "dream", "cycle": 1, …}
    {"event": "learnt", "task": "3c…", "number": 1, "step": "learn", "before": 0.61, …}

Rules:
- accuracies are measured on the device's held-out examples, 0 to 1, null without any; they are
  written here and nowhere else: nothing of this file is ever sent;
- every line is flushed as it is written, and carries the time, the running counts of closed rounds
  and of bytes up and down, and what the device has spent of its privacy in the policy's period
  (epsilon; null when a round without noise was among it), so that the last line alone says it;
- a file that exists is appended to: each start of the agent begins with "started";
- where no report is kept, nothing is measured for it: a device that waits computes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError
from dreamshare.protocol.outcomes import DeviceOutcome, RoundDone, TellLearnt
from dreamshare_edge.describe import Fields, fields_of
from dreamshare_edge.spending import Traffic


class Report:
    """Writes what happens to one device.

    Args:
        write: takes one line without its end.
        clock: gives each line its time.
        traffic: running byte counts.
        spent: returns epsilon spent in the policy's period, inf without bound.
        kept: whether anybody keeps the lines.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Clock,
        traffic: Traffic,
        spent: Callable[[], float] = lambda: 0.0,
        kept: bool = True,
    ) -> None:
        self.kept = kept
        self._write = write
        self._clock = clock
        self._traffic = traffic
        self._spent = spent
        self._rounds = 0

    @property
    def rounds(self) -> int:
        """Closed rounds that this device took part in, since the start."""
        return self._rounds

    def started(self, device: bytes, label: str, accuracy: float | None) -> None:
        """The agent begins."""
        self._line(
            {"event": "started", "device": device.hex(), "label": label, "accuracy": accuracy}
        )

    def learnt(
        self, task: bytes, number: int, step: str, before: float | None, after: float | None
    ) -> None:
        """The device learnt from a Tell; accuracies before and after."""
        self._line(
            {
                "event": "learnt",
                "task": task.hex(),
                "number": number,
                "step": step,
                "before": before,
                "after": after,
            }
        )

    def outcome(self, outcome: DeviceOutcome) -> None:
        """The driver told what happened; what `learnt` said already is left out."""
        if isinstance(outcome, RoundDone):
            self._rounds += 1
        if not isinstance(outcome, TellLearnt):
            self._line(fields_of(outcome))

    def stopped(self) -> None:
        """The agent ends."""
        self._line({"event": "stopped"})

    def _line(self, fields: Fields) -> None:
        line: Fields = {"time": round(self._clock.now(), 3), **fields}
        line["rounds"] = self._rounds
        spent = self._spent()
        line["epsilon"] = spent if math.isfinite(spent) else None
        line["bytes_up"] = self._traffic.bytes_sent
        line["bytes_down"] = self._traffic.bytes_received
        self._write(json.dumps(line, allow_nan=False))


def report_file(path: Path) -> TextIO:
    """Open a report file to append to; raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"cannot write the report {path}: {error.strerror}") from None
