"""Work for engines: functions that workers import."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamshare.engine.batches import Site
from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Ask:
    """A typed argument with an array."""

    factor: int
    values: np.ndarray


def squared(common: int, number: int, site: Site) -> int:
    return number * number + common


def scaled(common: np.ndarray, ask: Ask, site: Site) -> np.ndarray:
    return common + ask.factor * ask.values


def writable(common: np.ndarray, own: np.ndarray, site: Site) -> tuple[bool, bool]:
    return common.flags.writeable, own.flags.writeable


def drawn(common: int, seed: int, site: Site) -> bytes:
    """Bits that depend on how a library adds up."""
    rng = np.random.default_rng([common, seed])
    matrix = rng.normal(size=(200, 200)).astype(np.float32)
    return (matrix @ matrix.T).tobytes()


def telling(common: None, times: int, site: Site) -> int:
    for number in range(times):
        site.tell(f"{number}")
    return times


def refusing(common: None, number: int, site: Site) -> int:
    raise ConfigError(f"{number} is out of range")


def failing_odd(common: None, number: int, site: Site) -> int:
    return number if number % 2 == 0 else number // 0


def unpicklable(common: None, number: int, site: Site) -> object:
    return threading.Lock()


def process(common: None, number: int, site: Site) -> tuple[int, int, str]:
    return os.getpid(), site.place, os.environ.get("OMP_NUM_THREADS", "")


def dying(common: Path, deaths: int, site: Site) -> int:
    """Kill the process until it has died that often; the folder counts."""
    died = len(tuple(common.glob("*")))
    if died < deaths:
        (common / str(died)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return died


def marking(common: Path, number: int, site: Site) -> int:
    (common / str(number)).touch()
    return number


def waiting(common: Path, number: int, site: Site) -> int:
    """Wait for ever, in the open: a file shows the process that does."""
    (common / f"{os.getpid()}").touch()
    while True:
        site.tell("still here")
        threading.Event().wait(0.02)


def stuck(common: Path, number: int, site: Site) -> int:
    """Wait for ever and say nothing."""
    (common / f"{os.getpid()}").touch()
    threading.Event().wait()
    return number
