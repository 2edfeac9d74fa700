"""A cell with more devices than one cohort, or with conditions: its cohorts on the engine.

Rules:
- what a device is follows from the cell and its number; it is made where its group is computed, and
  between steps it is the bytes of its learner (`dreamshare.simulate.large`);
- devices are measured where they are made, too, and only figures come back;
- bytes and seconds of a device are the mean of its cohort's;
- a run that was killed goes on with the cohorts that it had finished (`crowd_record`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dreamshare.algorithms.catalog import algorithm_of, config_json_of
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.binding import TaskLoop
from dreamshare.engine.batches import Batch, BatchEngine, Resources, Site, gathered
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Learner
from dreamshare.simulate.large import LargeOptions, StepDone, simulate_population
from dreamshare.simulate.population import Group, GroupDone
from dreamshare.simulate.values import SimulatedDevice
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.crowd_record import Counted, CrowdFolder
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.drawing import with_drawn
from dreamshare_cli.bench.federated import pictures_of
from dreamshare_cli.bench.filling import config_of, starts_equal
from dreamshare_cli.bench.learners import make_learner
from dreamshare_cli.bench.measuring import Student, Tested, accuracy, tested, validated_at
from dreamshare_cli.bench.partitions import Dealt, deal
from dreamshare_cli.bench.rows import End, Line, Round, Start, to_line
from dreamshare_cli.bench.versions import one_thread, student_of, versions
from dreamshare_cli.demo.first_weights import parameter_count, shapes_of


@dataclass(frozen=True, slots=True)
class World:
    """What every device of a cell is made of."""

    cell: Cell
    pool: Pool
    dealt: Dealt

    def learner(self, place: int) -> Learner:
        """Return a device's learner with its first weights."""
        names, equal = self.cell.devices.architectures, starts_equal(self.cell)
        own = () if self.cell.algorithm is None else self.cell.algorithm.architectures
        name = (own or names)[place % len(own or names)]
        devices, seed = self.cell.devices, self.cell.seed
        place = 0 if equal else place
        return make_learner(devices, name, self.pool.shape, self.pool.labels, seed, place)


@lru_cache(maxsize=1)
def world_of(text: str) -> World:
    """Return the world of a cell, given as JSON; a process that computes its groups keeps it."""
    cell = Cell.from_json(text)
    one_thread(cell.devices, 0)
    pool = load_pool(cell.data)
    dealt = deal(pool, cell.data, cell.partition, cell.devices.count, cell.seed)
    return World(cell, pool, with_drawn(cell, pool, dealt))


@dataclass(frozen=True, slots=True)
class CellPopulation:
    """The devices of a cell, given as JSON."""

    cell: str
    count: int

    def devices(self, places: Sequence[int]) -> tuple[SimulatedDevice, ...]:
        world = world_of(self.cell)
        return tuple(
            SimulatedDevice(world.learner(place), world.dealt.data[place], world.cell.seed)
            for place in places
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What is measured: accuracies were the run to end at this state, or at its end the tests."""

    cell: str
    algorithm: str
    config: bytes
    state: bytes
    test: bool


def look(common: Look, group: Group, site: Site) -> Tested:
    """Measure a group's devices; the function that an engine is given."""
    world = world_of(common.cell)
    places = range(group.first, group.first + group.count)
    learners = [world.learner(place) for place in places]
    for learner, state in zip(learners, group.states, strict=False):
        if len(state):
            learner.restore(state.tobytes())
    dealt = replace(
        world.dealt,
        data=tuple(world.dealt.data[place] for place in places),
        domains=tuple(world.dealt.domains[place] for place in places),
    )
    if common.test:
        return tested(learners, dealt)
    config = config_of(world.cell, world.pool, dealt.public, learners[0])
    loop = TaskLoop(algorithm_of(config), common.config, 0, common.state)
    return Tested(validated_at(loop.algorithm, loop.state, learners, dealt), (), ())


class _Course:
    """Turns steps into rounds, as `federated.Follower` does for one cohort."""

    def __init__(
        self,
        cell: Cell,
        config: object,
        engine: BatchEngine,
        student: Student | None,
        tell: Callable[[Line], None],
        folder: CrowdFolder,
    ) -> None:
        self._cell = cell
        self._text = cell.to_json()
        self._config = config
        self._algorithm = algorithm_of(config)
        self._engine = engine
        self._student = student
        self._tell = tell
        self._folder = folder
        self._count = cell.devices.count
        self._next = 0
        self._lines: tuple[str, ...] = ()
        self._began = time.monotonic(), time.process_time()
        self._sent = np.zeros((4, self._count), np.int64)
        self._seconds = np.zeros(self._count)
        self._cycle = 0
        self._asked = False
        self.rounds = 0
        self.sums = 0

    def go_on(self, kept: Counted) -> None:
        """Take up what was counted before the run was killed; what was told is told again."""
        self._next, self._cycle, self._asked = kept.step, kept.cycle, kept.asked
        self.rounds, self.sums = kept.rounds, kept.sums
        self._sent, self._seconds = kept.sent.copy(), kept.seconds.copy()
        self._lines = kept.lines
        if self._student is not None and len(kept.student):
            self._student.restore(kept.student.tobytes())
        wall, cpu = self._began
        self._began = wall - kept.wall_s, cpu - kept.cpu_s
        for line in kept.told():
            self._tell(line)

    async def step(self, done: StepDone) -> None:
        """Count; measure where a round has ended; put it away."""
        if done.number < self._next:
            return  # counted before the run was killed
        await self._count_in(done)
        self._next = done.number + 1
        student = b"" if self._student is None else self._student.snapshot()
        self._folder.keep(
            Counted(
                self._next,
                self._cycle,
                self._asked,
                self.rounds,
                self.sums,
                self._sent,
                self._seconds,
                self._lines,
                np.frombuffer(student, np.uint8),
                *self.taken(),
            )
        )

    def taken(self) -> tuple[float, float]:
        """Return the seconds so far: by the wall, and of this process's threads."""
        wall, cpu = self._began
        return time.monotonic() - wall, time.process_time() - cpu

    async def _count_in(self, done: StepDone) -> None:
        for group, each in zip(done.states, done.groups, strict=True):
            self._charge(slice(group.first, group.first + group.count), group.count, each)
        self.sums += sum(each.survivors > 0 for each in done.groups if not done.learnt)
        self._asked = self._asked or not done.learnt
        if done.next_cycle == self._cycle:
            return
        self._cycle = done.next_cycle
        if self._asked or not self.rounds:
            self.rounds += 1
        self._asked = False
        if done.next_cycle < 0 or self.rounds % self._cell.evaluate_every == 0:
            await self._measure(done)

    async def looked(self, groups: Sequence[Group], state: object, test: bool) -> Tested:
        """Return the devices' accuracies in the order of their numbers."""
        name, config_json = config_json_of(self._config)
        common = Look(self._text, name, config_json, encode_state(state), test)
        batch = Batch(look, groups, common, resources_of(self._cell))
        found = await gathered(self._engine, batch)
        return Tested(
            tuple(value for each in found for value in each.everywhere),
            tuple(value for each in found for value in each.own),
            tuple(value for each in found for value in each.others),
        )

    def _charge(self, places: slice, count: int, done: GroupDone) -> None:
        late = (done.bytes_up - done.setup_up, done.bytes_down - done.setup_down)
        for row, total in enumerate((*late, done.setup_up, done.setup_down)):
            self._sent[row, places] += total // count
        self._seconds[places] += done.cost.compute_s / count

    async def _measure(self, done: StepDone) -> None:
        student = self._student
        if student is not None:
            student.learn(self._algorithm, done.state)
        seen = await self.looked(done.states, done.state, test=False)
        validation = world_of(self._text).dealt.validation
        known = student is not None and student.taught
        up, down, setup_up, setup_down = (tuple(int(n) for n in row) for row in self._sent)
        line = Round(
            self.rounds,
            seen.everywhere,
            accuracy(student.learner, validation) if student and known else None,
            up,
            down,
            setup_up,
            setup_down,
            tuple(round(float(seconds), 3) for seconds in self._seconds),
        )
        self._lines += (to_line(line),)
        self._tell(line)


async def run_crowd(
    cell: Cell, engine: BatchEngine, tell: Callable[[Line], None], folder: Path | None = None
) -> None:
    """Compute a cell, its groups on an engine; `tell` is given its lines in order.

    Args:
        cell: which.
        engine: where its cohorts are computed.
        tell: is given what an earlier run of it had told, too.
        folder: where finished cohorts are kept until the end; None keeps none.

    Raises:
        ConfigError: data, nets or config cannot be had or do not fit together.
        WorkFailed: a group could not be computed.
        NoSurvivors: no group gave a sum.
    """
    text = cell.to_json()
    start, kept = Start(cell.key, cell.fingerprint, versions(cell.devices)), CrowdFolder(folder)
    counted = kept.open(start)
    tell(start)
    world = world_of(text)
    if world.pool.pixels:
        raise ConfigError("a crowd's labels are of images; use one cohort for labels of pixels")
    config = config_of(cell, world.pool, world.dealt.public, world.learner(0))
    student = student_of(cell, world.pool, world.dealt.public)
    course = _Course(cell, config, engine, student, tell, kept)
    if counted is not None:
        course.go_on(counted)
    options = LargeOptions(
        seed=cell.seed,
        most=cell.cohort,
        conditions=cell.conditions,
        resources=resources_of(cell),
        on_step=course.step,
        folder=kept.steps,
    )
    population = CellPopulation(text, cell.devices.count)
    result = await simulate_population(config, population, engine, options)
    found = await course.looked(result.groups, result.state, test=True)
    taught = student.learner if student is not None and student.taught else None
    sizes = [parameter_count(shapes_of(world.learner(place))) for place in _first_places(cell)]
    seconds, cpu_s = course.taken()
    tell(
        End(
            test=found.everywhere,
            student=None if taught is None else accuracy(taught, world.dealt.test),
            own=found.own,
            others=found.others,
            parameters=tuple(sizes[place % len(sizes)] for place in range(cell.devices.count)),
            examples=tuple(len(data) for data in world.dealt.data),
            sums=course.sums,
            seconds=round(seconds, 1),
            cpu_s=round(cpu_s, 1),
            metrics=dict(result.metrics),
            pictures=pictures_of(config, result.arrays, world.pool.low, world.pool.high),
        )
    )
    kept.remove()


def resources_of(cell: Cell) -> Resources:
    """Return what a piece of a cell occupies."""
    return Resources(gpus=1.0 if cell.devices.device.startswith("cuda") else 0.0)


def _first_places(cell: Cell) -> range:
    own = () if cell.algorithm is None else cell.algorithm.architectures
    return range(len(own or cell.devices.architectures))
