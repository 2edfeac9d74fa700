"""What the demo may be asked for, checked before anything is started.

Rules:
- every wrong value is one ConfigError of one line that names the option and says what would work;
- nothing is imported here that costs time, so that a typing mistake is told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.runtimes import RuntimeChoice

LEAST_DEVICES = 3
"""Fewer than three and a sum minus one's own answer is the other's (docs/protocol.md 4.2)."""

LEAST_DEVICES_WITH_DROP = 4
"""The smallest cohort that survives a dropout (table of docs/protocol.md 4.4)."""

MOST_DEVICES = 16
"""The 1,797 digits and the memory of one machine are shared among this many at most."""

MOST_CYCLES = 50


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """A demo that makes sense.

    Attributes:
        devices: agents to start, 3 to 16; each is a process with a net and digits of its own.
        drop: kill one agent with SIGKILL in the middle of the last algorithm; needs four devices.
        seed: of the split, the nets and what is drawn, 0 to 2^31 - 1.
        cycles: CoDream cycles (dream, label, learn), 1 to 50; elsewhere as many steps.
        out: folder for everything that the demo writes; new or empty.
        capture: file that gets every byte the aggregator receives, or None.
        runtime: what the devices compute with; `runtimes.choose` knows what can be had here.
        algorithm: what is run, one after another.
    """

    out: Path
    devices: int = 4
    drop: bool = False
    seed: int = 0
    cycles: int = 5
    capture: Path | None = None
    runtime: RuntimeChoice = RuntimeChoice.TORCH
    algorithm: AlgorithmChoice = AlgorithmChoice.ALL

    def __post_init__(self) -> None:
        if self.devices < LEAST_DEVICES:
            raise ConfigError(
                f"--devices {self.devices}: at least {LEAST_DEVICES} are needed; in a sum of two, "
                "each would know the other's answer by taking away its own"
            )
        if self.devices > MOST_DEVICES:
            raise ConfigError(
                f"--devices {self.devices}: at most {MOST_DEVICES}, because every device is a "
                "process with a net of its own on this machine"
            )
        if self.drop and self.devices < LEAST_DEVICES_WITH_DROP:
            raise ConfigError(
                f"--devices {self.devices} --drop: three devices tolerate no dropout, since the "
                "sum of the two that are left would tell each of them the other's answer; "
                f"use --devices {LEAST_DEVICES_WITH_DROP} or more"
            )
        if not 1 <= self.cycles <= MOST_CYCLES:
            raise ConfigError(f"--cycles {self.cycles}: choose 1 to {MOST_CYCLES}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"--seed {self.seed}: choose 0 to {2**31 - 1}")
        _check_folder(self.out)
        if self.capture is not None:
            _check_new_file(self.capture)


def _check_folder(folder: Path) -> None:
    if folder.exists():
        if not folder.is_dir():
            raise ConfigError(f"--out {folder}: this is a file; name a new or an empty folder")
        if any(folder.iterdir()):
            raise ConfigError(f"--out {folder}: this folder is not empty; name a new one")
        return
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise ConfigError(f"--out {folder}: {nearest} is a file, so no folder fits below it")


def _check_new_file(file: Path) -> None:
    if file.exists():
        raise ConfigError(f"--capture {file}: it exists and would be overwritten; name a new file")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"--capture {file}: there is no folder {file.absolute().parent}")
