"""What benchmarks of whole federations share: an algorithm of plain sums, devices that compute it,
a watch on an event loop, and where figures go.

Rules:
- devices answer with a constant of their own on top of what they were sent, so that a sum can be
  checked and computing costs nothing;
- each plan carries the last mean, as a model that is trained would travel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
from dreamshare.driver.desk import Seat
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.protocol.events import Compute, KeepEvidence, Learn
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import CheckIn
from dreamshare.protocol.participant import Participant
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Array, Field, PublicArray, Update
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory

TICK_S = 0.005


# ---- the algorithm -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mean:
    """How many sums were made, and the last mean."""

    rounds: int
    mean: PublicArray


class Sums:
    """So many masked sums of `config` = {"name": n, "coordinates": d, "bits": q, "rounds": r}."""

    def __init__(self, config: bytes) -> None:
        asked = json.loads(config)
        self.name: str = asked["name"]
        self._rounds: int = asked["rounds"]
        self._fields = (Field("x", (asked["coordinates"],), bound=8.0, bits=asked["bits"]),)

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"sum": self._fields}

    def init(self, rng: np.random.Generator) -> Mean:
        return Mean(0, np.zeros(self._fields[0].shape, dtype=np.float32))

    def plan(self, state: Mean) -> Ask | Tell | Done:
        left = self._rounds - state.rounds
        if not left:
            return Done({"mean": state.mean})
        return Ask("sum", self._fields, {"x": state.mean}, left, state.rounds)

    def local(
        self, ask: Ask | Tell, learner: Constant, data: object, rng: np.random.Generator
    ) -> Update:
        if isinstance(ask, Tell):
            raise ConfigError("nothing is told here")
        return Update({"x": np.asarray(ask.tensors["x"], np.float32) + learner.share})

    def merge(self, state: Mean, mean: Mapping[str, Array], crowd: Crowd) -> Mean:
        return Mean(state.rounds + 1, mean["x"].astype(np.float32))


def sums_config(name: str, coordinates: int, bits: int, rounds: int) -> bytes:
    """Return what `Sums` is made from."""
    asked = {"name": name, "coordinates": coordinates, "bits": bits, "rounds": rounds}
    return json.dumps(asked).encode()


def lookup(_name: str, config: bytes) -> Algorithm[object]:
    """Return the one algorithm that there is."""
    return Sums(config)


# ---- devices -------------------------------------------------------------------------------------


class Constant:
    """A learner whose whole knowledge is one number."""

    classes = 2

    def __init__(self, share: float) -> None:
        self.share = np.float32(share)

    def logits(self, x_NCHW: Floats) -> Floats:
        return np.zeros((len(x_NCHW), self.classes), np.float32)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        raise ConfigError("a constant has no gradient")

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        return 0.0

    def snapshot(self) -> bytes:
        return b"constant"

    def restore(self, snapshot: bytes) -> None:
        """There is nothing to restore."""

    def memory(self) -> Mapping[str, PublicArray]:
        return {}

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        """Nothing is remembered."""

    def parameters(self) -> Mapping[str, Floats]:
        return {}

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """There are none."""


class Handset:
    """A device's shell without a disk: its desk, and an answer that costs nothing."""

    def __init__(
        self,
        identity: Identity,
        algorithm: str,
        share: float,
        floor: Floor | None = None,
    ) -> None:
        self._identity = identity
        self._algorithm = algorithm
        self._learner = Constant(share)
        self._floor = floor or Floor()
        self._memory = Memory()

    def check_in(self) -> CheckIn:
        return CheckIn((self._algorithm,))

    def stored(self) -> Sequence[Seat]:
        return ()

    def seat(self, task: TaskId) -> Seat | None:
        participant = Participant(
            self._identity, task, self._floor, SystemEntropy(), permit, self._memory
        )
        return Seat(participant, MemoryJournal())

    def leave(self, task: TaskId) -> None:
        """Nothing is kept of a task."""

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"the aggregator contradicts itself: {evidence.code}")

    async def compute(self, task: TaskId, order: Compute) -> Update:
        sent = order.plan.tensors["x"]
        return Update({"x": np.asarray(sent, np.float32) + self._learner.share})

    async def learn(self, task: TaskId, order: Learn) -> None:
        raise ConfigError("there is nothing to learn here")


def permit(_plan: RoundPlan) -> None:
    """Allow every plan."""


# ---- watching ------------------------------------------------------------------------------------


def peak_mb() -> float:
    """Return this program's largest resident memory, MB; `ru_maxrss` would count its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Stalls:
    """How late a loop's ticks came.

    Attributes:
        p50_ms, p99_ms, max_ms: milliseconds.
        ticks: how many were looked at.
        peak_mb: largest resident memory of the process so far, 10^6 bytes.
    """

    p50_ms: float
    p99_ms: float
    max_ms: float
    ticks: int
    peak_mb: float


class LoopMonitor:
    """Asks the running loop for a tick every 5 ms and notes how late each one is."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._running = asyncio.ensure_future(self._tick())

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late.append(time.perf_counter() - due)

    def stop(self) -> Stalls:
        """Stop and return what was seen."""
        self._running.cancel()
        late = 1e3 * np.array(self._late or [0.0])
        p50, p99 = np.percentile(late, (50, 99))
        peak = peak_mb()
        return Stalls(float(p50), float(p99), float(late.max()), len(late), peak)


def resident_kb(process: int | str = "self") -> float:
    """Return the resident memory of a process, 10^3 bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e3


def output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where figures go."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    parser.add_argument("--out", type=Path, help="write the JSON object to a file too")


def publish(figures: Mapping[str, object], asked: argparse.Namespace) -> None:
    """Print figures, and write them where `output_options` says."""
    text = json.dumps(figures, indent=None if asked.json else 1)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """Return what figures depend on: the machine and what else it is doing."""
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": list(os.getloadavg()),
    }
