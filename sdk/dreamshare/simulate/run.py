"""One simulated run: an authority, an aggregator, devices, a task, until the task is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from dreamshare.algorithms.base import Done
from dreamshare.algorithms.catalog import config_json_of
from dreamshare.binding import CatalogWork, Idle, Order, TaskLoop, terms_of
from dreamshare.clock import ManualClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.task import TaskRun
from dreamshare.driver.waiting import first_of
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import Cohort, ControlError, DeviceStatus, Reply, Request
from dreamshare.protocol.outcomes import DeviceOutcome, SumDone, TaskFailed, TaskOutcome
from dreamshare.simulate.device import VirtualDevice
from dreamshare.simulate.jumping import JumpingSelector
from dreamshare.simulate.values import (
    Moment,
    SimulatedDevice,
    SimulationOptions,
    SimulationResult,
)
from dreamshare.transport.memory import MemoryNetwork
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.secagg.once import Once


class TaskGaveUp(DreamshareError):
    """The coordinator ended the task before it was done; the text says why."""


def simulate(
    config: object,
    devices: Sequence[SimulatedDevice],
    *,
    cohort: Cohort,
    seed: int = 0,
    options: SimulationOptions | None = None,
) -> SimulationResult:
    """Run one task to its end. It blocks; call it from a thread where an event loop is running.

    Args:
        config: of a registered algorithm, or a pair (name, canonical JSON) for `options.lookup`.
        devices: who takes part.
        cohort: as in a submitted task.
        seed: of keys, jitter and the algorithm's first state; the same seed, the same run.
        options: see `SimulationOptions`.

    Raises:
        ConfigError: config, cohort or devices do not fit together.
        SimulationStalled: the run could not go on.
        TaskGaveUp: the task failed; the text is the coordinator's.
    """
    run, loop, coordinator = prepared(config, devices, cohort, seed, options)
    with asyncio.Runner(loop_factory=run.new_event_loop) as runner:
        return runner.run(run.run(loop, coordinator))


def prepared(
    config: object,
    devices: Sequence[SimulatedDevice],
    cohort: Cohort,
    seed: int,
    options: SimulationOptions | None,
) -> tuple[Run, TaskLoop, Coordinator]:
    """Return a run that has not begun, its task and the task's machine; see `simulate`."""
    chosen = options or SimulationOptions()
    if len(devices) < cohort.least:
        raise ConfigError(f"{len(devices)} devices; the cohort needs at least {cohort.least}")
    name, config_json = config if isinstance(config, tuple) else config_json_of(config)
    algorithm = chosen.lookup(name, config_json)
    terms = terms_of(algorithm, cohort, chosen.deadlines, chosen.privacy)
    clock = ManualClock()
    entropy = SeededEntropy(f"dreamshare simulation {seed}".encode())
    authority = Authority.create(
        entropy.fork("federation").draw(16), entropy.fork("authority"), clock.now()
    )
    keys = entropy.fork("parties")
    identity = authority.issue(Role.AGGREGATOR, "aggregator", keys, clock.now())
    work = CatalogWork((name,), chosen.lookup)
    once = Once.shared()
    deaths = {kill.device: kill.at_answer for kill in chosen.kills}
    virtual = tuple(
        VirtualDevice(
            authority.issue(Role.DEVICE, f"device {i}", keys, clock.now()),
            device,
            work,
            name,
            chosen.floor,
            entropy.fork(f"device {i}"),
            deaths.get(i),
            once,
            chosen.stopwatch,
        )
        for i, device in enumerate(devices)
    )
    task = TaskId(entropy.fork("task").draw(16))
    coordinator = Coordinator(identity, task, terms, entropy.fork("coordinator"))
    network = MemoryNetwork(clock)
    aggregator = AggregatorDriver([network.listener()], identity, clock, _Front(), chosen.observer)
    run = Run(clock, network, aggregator, virtual, chosen)
    return run, TaskLoop(algorithm, config_json, seed), coordinator


class Run:
    """A simulation while it lasts."""

    def __init__(
        self,
        clock: ManualClock,
        network: MemoryNetwork,
        aggregator: AggregatorDriver,
        devices: tuple[VirtualDevice, ...],
        options: SimulationOptions,
    ) -> None:
        self._clock = clock
        self._started = clock.now()
        self._network = network
        self._aggregator = aggregator
        self._devices = devices
        self._options = options
        self._selector = JumpingSelector(clock)
        self._reports: list[TaskOutcome] = []
        self._serving: asyncio.Task[None] | None = None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(self._selector)

    async def run(self, loop: TaskLoop, coordinator: Coordinator) -> SimulationResult:
        """Run to the end."""
        task = await self.begin(coordinator)
        try:
            give(task, loop.order())
            await self.follow(loop, task, task.reports())
        finally:
            outcomes = await self.end()
        done = loop.done or Done()
        return SimulationResult(
            arrays=done.result,
            metrics=done.metrics,
            reports=tuple(self._reports),
            outcomes=outcomes,
            statuses=self._statuses(),
            aggregations=sum(isinstance(report, SumDone) for report in self._reports),
            simulated_s=self._clock.now() - self._started,
            compute_s=self._compute_s(),
            advice=done.advice,
        )

    async def begin(self, coordinator: Coordinator) -> TaskRun:
        """Start aggregator and devices; return the task, which has no order yet."""
        await self._aggregator.start()
        self._serving = asyncio.ensure_future(self._aggregator.run())
        for device in self._devices:
            device.start(self._network, self._clock)
        return self._aggregator.add(coordinator, MemoryJournal())

    async def end(self) -> tuple[tuple[DeviceOutcome, ...], ...]:
        """Stop everything; return what happened to each device."""
        await self._aggregator.close()
        if self._serving is not None:
            await self._serving
        return tuple([await device.stop() for device in self._devices])

    async def follow(
        self, loop: TaskLoop, task: TaskRun, reports: AsyncIterator[TaskOutcome]
    ) -> TaskOutcome | None:
        """Go on until the task is over or waits for a question; return the last report."""
        self._selector.progress()
        return await first_of(self._follow(loop, task, reports), self._selector.until_stalled())

    async def _follow(
        self, loop: TaskLoop, task: TaskRun, reports: AsyncIterator[TaskOutcome]
    ) -> TaskOutcome | None:
        report = None
        async for report in reports:
            self._selector.progress()
            self._reports.append(report)
            if self._options.on_report is not None:
                self._options.on_report(report)
            if isinstance(report, TaskFailed):
                raise TaskGaveUp(f"the task failed: {report.reason}")
            order = loop.react(report)
            self._show(report, loop)
            if isinstance(order, Idle):
                break
            if order is not None:
                give(task, order)
        return report

    def _show(self, report: TaskOutcome, loop: TaskLoop) -> None:
        """Let the caller look before the next order is given."""
        if self._options.on_moment is not None:
            self._options.on_moment(
                Moment(
                    report,
                    loop.algorithm,
                    loop.state,
                    loop.cycle,
                    self._statuses(),
                    self._compute_s(),
                )
            )

    def _statuses(self) -> tuple[DeviceStatus, ...]:
        by_id = {status.device: status for status in self._aggregator.devices()}
        return tuple(by_id[device.id] for device in self._devices if device.id in by_id)

    def _compute_s(self) -> tuple[float, ...]:
        return tuple(device.compute_s for device in self._devices)


def give(task: TaskRun, order: Order) -> None:
    """Tell a task what is wanted, where anything is."""
    if not isinstance(order, Idle):
        task.give(order)


class _Front:
    """The front desk of a simulation: nobody asks, nothing is shown."""

    async def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        yield Reply(request.number, ControlError("a simulation takes no requests"))

    def device_came(self, device: PartyId) -> None:
        """Nobody looks."""

    def device_went(self, device: PartyId) -> None:
        """Nobody looks."""

    def knows(self, task: TaskId) -> bool:
        return False

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"a simulated device contradicts itself: {evidence.code}")
