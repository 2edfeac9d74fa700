"""The table `[learner.settings]` of a demo's agent: written by the demo, read by the agent.

Rules: nothing heavy is imported here, because the demo's own process computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.settings import Scalar
from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.runtimes import DeviceRuntime


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What one device is told about itself.

    Attributes:
        device: 0-based number of the device.
        devices: how many there are.
        seed: of the split and the first weights.
        cycles: CoDream cycles of the run, or as many steps, so that companions take as many.
        notes: file for the companions' figures.
        runtime: what it computes with.
        algorithms: that the demo runs.
    """

    device: int
    devices: int
    seed: int
    cycles: int
    notes: Path
    runtime: DeviceRuntime
    algorithms: AlgorithmChoice = AlgorithmChoice.ALL

    def as_table(self) -> Mapping[str, Scalar]:
        """Return the table; `read` is the inverse."""
        return {
            "device": self.device,
            "devices": self.devices,
            "seed": self.seed,
            "cycles": self.cycles,
            "notes": str(self.notes),
            "runtime": self.runtime.value,
            "algorithms": self.algorithms.value,
        }

    @classmethod
    def read(cls, table: Mapping[str, Scalar]) -> DeviceSettings:
        """Return the settings; raises ConfigError where one is missing or of another type."""

        def whole(name: str) -> int:
            value = table.get(name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError(f"learner.settings.{name} is {value!r}; give a whole number")
            return value

        def one_of(name: str, known: Iterable[StrEnum]) -> str:
            value = table.get(name)
            names = [each.value for each in known]
            if not isinstance(value, str) or value not in names:
                raise ConfigError(
                    f"learner.settings.{name} is {value!r}; one of {', '.join(names)}"
                )
            return value

        notes = table.get("notes")
        if not isinstance(notes, str):
            raise ConfigError(f"learner.settings.notes is {notes!r}; name a file")
        return cls(
            whole("device"),
            whole("devices"),
            whole("seed"),
            whole("cycles"),
            Path(notes),
            DeviceRuntime(one_of("runtime", DeviceRuntime)),
            AlgorithmChoice(one_of("algorithms", AlgorithmChoice)),
        )
