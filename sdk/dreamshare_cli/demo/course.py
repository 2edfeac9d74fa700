"""The course of a demo: lay out, start, run each algorithm, lose a device if asked to, collect.

Rules:
- accuracies come from the devices' own files (`reports`), the rest from the aggregator's reports;
- a process that ends by itself ends the demo with the last lines of its log;
- whatever happens, every process is stopped before `run` returns or raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from dreamshare.client import Client, Result
from dreamshare.clock import Clock
from dreamshare.errors import DreamshareError
from dreamshare.payloads.gallery import Gallery
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase, TaskReport
from dreamshare_cli.demo.collect import Ended, client_result, demo_result, gallery_of
from dreamshare_cli.demo.federation import DemoFederation
from dreamshare_cli.demo.live import DeviceState, DeviceView, Display, Snapshot
from dreamshare_cli.demo.methods import Method, methods
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.processes import Children
from dreamshare_cli.demo.reports import DeviceReport
from dreamshare_cli.demo.result import DemoResult
from dreamshare_cli.demo.stages import Stage
from dreamshare_crypto.entropy import Entropy

Out = TypeVar("Out")

REFRESH_S = 0.25
"""Between two looks at the processes and at their reports."""

START_PATIENCE_S = 90.0
"""Until the aggregator's first answer; on a busy machine imports take their time."""

LESSON_S = 600.0
"""For a device to learn, baselines beside it: nobody is left behind on a busy machine."""

WAITING = "waiting for the devices"

LAST_WORDS_S = 20.0
"""For the devices to write the end of their reports."""


class DemoFailed(DreamshareError):
    """The aggregator gave the task up; the text says why and where the logs are."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a demo gives; galleries are by the algorithm's name."""

    result: DemoResult
    galleries: Mapping[str, Gallery]


class Course:
    """One run of the demo; call `run` once.

    Args:
        options: what was asked for.
        display: where snapshots go.
        clock: what time it is.
        entropy: of the development keys.
        began: Unix seconds when the command was typed.
    """

    def __init__(
        self,
        options: DemoOptions,
        display: Display,
        clock: Clock,
        entropy: Entropy,
        began: float,
    ) -> None:
        self._options = options
        self._display = display
        self._clock = clock
        self._entropy = entropy
        self._began = began
        self._methods = methods(options.algorithm, options.seed, options.cycles)
        self._stage = Stage(self._methods[0])
        self._runs: list[Ended] = []
        self._galleries: dict[str, Gallery] = {}
        self._words = "making keys"
        self._killed = ""
        self._reports: Mapping[str, DeviceReport] = {
            f"device-{n + 1}": DeviceReport() for n in range(options.devices)
        }

    async def run(self) -> Finished:
        """Run the demo.

        Raises:
            ConfigError: the folder cannot be written.
            ChildDied: a process ended by itself.
            DemoFailed: the aggregator gave the task up.
            asyncio.CancelledError: somebody stopped it; `so_far` tells how far it came.
        """
        self._show()
        federation = DemoFederation.lay_out(self._options, self._clock, self._entropy)
        readers = {device.name: device.reader() for device in federation.devices}

        def look() -> None:
            self._reports = {name: reader.read() for name, reader in readers.items()}
            if self._words == WAITING and all(report.id for report in self._reports.values()):
                self._words = self._stage.words  # its first step may be one that none reports
            self._show()

        async with Children(federation.logs) as children:
            self._enter("starting the processes")
            await federation.start(children)
            await self._beside(self._work(federation, children), children, look)
            self._enter("collecting the reports")
            await self._beside(self._last_words(), children, look)
        return self._finish()

    def so_far(self) -> str:
        """Say in one sentence how far the run came."""
        known = [r.now.curve for r in self._reports.values() if r.now.curve]
        if not known:
            return "no device had learnt anything yet"
        before = sum(c[0] for c in known) / len(known)
        now = sum(c[-1] for c in known) / len(known)
        method = self._stage.method
        return (
            f"after {self._stage.round} of {method.rounds} rounds of {method.name} the mean test "
            f"accuracy was {now:.1f} % ({before:.1f} % before the first)"
        )

    async def _beside(
        self, work: Awaitable[Out], children: Children, look: Callable[[], None]
    ) -> Out:
        """Do `work` and look at processes and reports meanwhile; a death ends both."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                children.check()
                look()
                await asyncio.wait({task}, timeout=REFRESH_S)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work(self, federation: DemoFederation, children: Children) -> None:
        """Run the algorithms one after another, and fetch their results."""
        link, identity = federation.operator()
        self._enter("waiting for the aggregator")
        async with Client(link, identity, self._clock, START_PATIENCE_S) as client:
            self._enter(WAITING)
            for method in self._methods:
                began = self._clock.now()
                self._stage = Stage(method)
                result = await self._run(method, client, federation, children)
                self._runs.append(Ended(method, result.status, self._clock.now() - began))
                self._galleries[method.name] = gallery_of(method, result.arrays)

    async def _run(
        self, method: Method, client: Client, federation: DemoFederation, children: Children
    ) -> Result:
        """Submit a task and follow it to its end; a device is lost in the last one's middle."""
        everybody = Cohort(least=self._options.devices, most=self._options.devices)
        last = method is self._methods[-1]
        task = await client.submit(
            method.config,
            everybody,
            Deadlines(collect_s=LESSON_S),
            seed=self._options.seed,
            name=f"demo: {method.name}",
        )
        async for report in client.watch(task):
            self._follow(report)
            if self._options.drop and last and not self._killed and self._stage.middle:
                self._killed = federation.devices[-1].name
                self._display.say(f"{self._killed} is killed now (SIGKILL); the rest goes on")
                await children.kill(self._killed)
            if report.status.phase in (TaskPhase.FAILED, TaskPhase.CANCELLED):
                raise DemoFailed(
                    f"{method.name} ended as {report.status.phase}: {report.status.detail}; "
                    f"the processes' logs are in {federation.logs}"
                )
        return await client.result(task)

    def _follow(self, report: TaskReport) -> None:
        tells = self._stage.tells + (report.event == "tell")
        self._stage = replace(self._stage, sums=report.status.aggregations, tells=tells)
        if self._words != WAITING or report.status.roster or tells:
            self._words = self._stage.words

    async def _last_words(self) -> None:
        """Return when every survivor has written that its task is over, or time is up."""
        until = self._clock.now() + LAST_WORDS_S
        while self._clock.now() < until and not all(
            self._over(report) for name, report in self._reports.items() if name != self._killed
        ):
            await self._clock.sleep_until(self._clock.now() + REFRESH_S)

    def _over(self, report: DeviceReport) -> bool:
        """Whether a device has told the end of every algorithm that ran."""
        return len(report.parts) == len(self._methods) and bool(report.now.over)

    def _finish(self) -> Finished:
        clients = [
            client_result(name, report, self._runs, alive=name != self._killed)
            for name, report in self._reports.items()
        ]
        seconds = self._clock.now() - self._began
        return Finished(
            demo_result(self._options, self._runs, clients, seconds), dict(self._galleries)
        )

    def _enter(self, words: str) -> None:
        """Begin a stage and show it at once: one may be over before the next look."""
        self._words = words
        self._show()

    def _show(self) -> None:
        method = self._stage.method
        self._display.show(
            Snapshot(
                elapsed=self._clock.now() - self._began,
                algorithm=method.name,
                phase=self._words,
                round=self._stage.round,
                rounds=method.rounds,
                sums=self._stage.sums,
                part=self._part(),
                devices=[self._view(name, report) for name, report in self._reports.items()],
            )
        )

    def _part(self) -> float:
        """Return how much of all algorithms is done."""
        ended = sum(run.method.weight for run in self._runs)
        if len(self._runs) < len(self._methods):
            ended += self._stage.part * self._stage.method.weight
        return ended / sum(method.weight for method in self._methods)

    def _view(self, name: str, report: DeviceReport) -> DeviceView:
        curve = report.now.curve
        if name == self._killed:
            state = DeviceState.KILLED
        elif self._over(report):
            state = DeviceState.DONE
        elif report.parts:
            state = DeviceState.WORKING
        else:
            state = DeviceState.READY if report.id else DeviceState.STARTING
        return DeviceView(
            name=name,
            architecture=report.architecture,
            runtime=report.runtime,
            state=state,
            bytes_up=report.bytes_up,
            bytes_down=report.bytes_down,
            before=curve[0] if curve else None,
            now=curve[-1] if curve else None,
        )
