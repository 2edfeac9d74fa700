"""One group's part of one step: a cohort of real machines, from set-up to sum. Pure work.

Rules:
- the machines are those of `simulate`, masks on; a step is a task of its own, with a set-up of its
  own, so that a piece needs nothing that another left behind;
- devices of a group share what a signature check or the decoding of a public message gave
  (`dreamshare_crypto.secagg.once`), as devices of one process may, and nothing else;
- a group that cannot open a sum contributes nothing, and says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dreamshare.algorithms.base import Ask, Done
from dreamshare.binding import Idle, Order, TaskLoop
from dreamshare.engine.batches import Site
from dreamshare.errors import ConfigError, PrivacyError
from dreamshare.protocol.messages import Cohort, DeviceStatus
from dreamshare.protocol.outcomes import EpochStarted, SumDone, TaskOutcome, TellSpread
from dreamshare.simulate.jumping import SimulationStalled
from dreamshare.simulate.population import LEAST_GROUP, Bytes, Cost, Group, GroupDone, Step
from dreamshare.simulate.run import TaskGaveUp, prepared
from dreamshare.simulate.values import Moment, SimulatedDevice, SimulationOptions

DOOMED = ("advertise", "shares")
"""Where a device is lost before the roster is complete."""


class OneStep(TaskLoop):
    """A loop that waits once its first order is answered, and keeps the answer."""

    def __init__(self, step: Step) -> None:
        algorithm = step.lookup(step.algorithm, step.config)
        super().__init__(algorithm, step.config, 0, step.checkpoint)
        if isinstance(self._wanted, Done):
            raise ConfigError("this run is done; there is no step left")
        self._wanted = replace(self._wanted, sums=1)
        self.answer: SumDone | TellSpread | None = None

    def react(self, outcome: TaskOutcome) -> Order | None:
        if isinstance(outcome, SumDone | TellSpread):
            self.answer = outcome
            return Idle()
        return None

    @property
    def asks(self) -> bool:
        """Whether a sum is wanted; otherwise devices learn."""
        return isinstance(self._wanted, Ask)


@dataclass(slots=True)
class _Watch:
    """Wall and CPU time of this thread; `turn` is the end of the set-up, `sent` its bytes."""

    start: tuple[float, float]
    turn: tuple[float, float]
    sent: tuple[int, int] = (0, 0)

    @classmethod
    def started(cls) -> _Watch:
        now = _now()
        return cls(now, now)

    def follow(self, moment: Moment) -> None:
        if isinstance(moment.report, EpochStarted):
            self.turn, self.sent = _now(), _bytes(moment.statuses)

    def cost(self, simulated_s: float = 0.0, compute_s: float = 0.0) -> Cost:
        end = _now()
        return Cost(
            setup_s=self.turn[0] - self.start[0],
            round_s=end[0] - self.turn[0],
            setup_cpu_s=self.turn[1] - self.start[1],
            round_cpu_s=end[1] - self.turn[1],
            compute_s=compute_s,
            simulated_s=simulated_s,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            peak_mb=peak_mb(),
        )


def group_step(step: Step, group: Group, site: Site) -> GroupDone:
    """Run a step in one group; the function that an engine is given."""
    watch = _Watch.started()
    loop = OneStep(step)
    places = range(group.first, group.first + group.count)
    conditions = step.conditions
    there = [p for p in places if conditions.traits(step.seed, p, step.number) is not None]
    if len(there) < LEAST_GROUP:
        return GroupDone(group.number, len(there), 0, trouble="too few devices are there")
    devices = _devices(step, group, there)
    doomed = sum(device.traits.lost_at in DOOMED for device in devices)
    cohort = Cohort(max(LEAST_GROUP, len(devices) - doomed), len(devices))
    options = SimulationOptions(
        deadlines=step.deadlines,
        floor=step.floor,
        lookup=step.lookup,
        on_moment=watch.follow,
        stopwatch=time.thread_time,
    )
    seed = seed_of(step.seed, step.number, group.number)
    wanted = (step.algorithm, step.config)
    run, _, coordinator = prepared(wanted, devices, cohort, seed, options)
    try:
        with asyncio.Runner(loop_factory=run.new_event_loop) as runner:
            result = runner.run(run.run(loop, coordinator))
    except (PrivacyError, SimulationStalled, TaskGaveUp) as error:
        cost, trouble = watch.cost(), str(error)
        return GroupDone(group.number, len(devices), 0, cost=cost, trouble=trouble)
    up, down = _bytes(result.statuses)
    done = GroupDone(
        group.number,
        len(devices),
        0,
        bytes_up=up,
        bytes_down=down,
        setup_up=watch.sent[0],
        setup_down=watch.sent[1],
        cost=watch.cost(result.simulated_s, sum(result.compute_s)),
    )
    match loop.answer:
        case SumDone(mean, weight_sum, survivors, roster):
            return replace(
                done, mean=mean, weight_sum=weight_sum, survivors=len(survivors), roster=roster
            )
        case TellSpread(learnt=learnt):
            return replace(done, survivors=learnt, states=_states(devices, group, there))
        case _:
            return replace(done, trouble="the task ended before its sum")


def seed_of(seed: int, step: int, group: int) -> int:
    """Return the seed of one group's step: identities, keys and jitter follow from it."""
    name = hashlib.sha256(f"dreamshare population {seed} {step} {group}".encode()).digest()
    return int.from_bytes(name[:8], "little")


def peak_mb() -> float:
    """Return the most memory that this process has held, 10^6 bytes.

    Linux counts a program's own; elsewhere what its parent held when it started may be in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _bytes(statuses: Sequence[DeviceStatus]) -> tuple[int, int]:
    return sum(each.bytes_up for each in statuses), sum(each.bytes_down for each in statuses)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


def _devices(step: Step, group: Group, there: Sequence[int]) -> tuple[SimulatedDevice, ...]:
    """Return the devices that are there, as their states say."""
    devices = []
    for place, device in zip(there, step.population.devices(there), strict=True):
        traits = step.conditions.traits(step.seed, place, step.number)
        if group.states and len(group.states[place - group.first]):
            device.learner.restore(group.states[place - group.first].tobytes())
        devices.append(device if traits is None else replace(device, traits=traits))
    return tuple(devices)


def _states(
    devices: Sequence[SimulatedDevice], group: Group, there: Sequence[int]
) -> tuple[Bytes, ...]:
    """Return the states of all devices after they learnt; who was away is what it was."""
    states = list(group.states or [np.zeros(0, np.uint8)] * group.count)
    for device, place in zip(devices, there, strict=True):
        states[place - group.first] = np.frombuffer(device.learner.snapshot(), np.uint8)
    return tuple(states)
