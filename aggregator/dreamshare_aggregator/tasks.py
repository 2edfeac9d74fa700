"""One task at work: an algorithm's loop above, a coordinator below, the board beside.

Rules:
- a sum is merged, stored as a checkpoint, and only then is the next one asked for; a service that
  is killed goes on from the last stored state, with the epoch and round that were open
  (docs/protocol.md 9.8);
- algorithms merge in a thread: an update may have millions of coordinates;
- how a task ends is stored before anybody hears of it;
- a task that is held begins nothing; its machine knows, so that no order slips through;
- algorithms see the mean and the size of the crowd, never who is in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dreamshare.algorithms.base import Algorithm, Done
from dreamshare.algorithms.checkpoint import encode_arrays
from dreamshare.algorithms.evaluate import EVALUATE, evaluated
from dreamshare.binding import Idle, Lookup, TaskLoop, terms_of
from dreamshare.clock import Clock
from dreamshare.driver.task import TaskRun, stored_tells
from dreamshare.errors import ConfigError
from dreamshare.ids import short
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import Asked, Finished, Held, Released
from dreamshare.protocol.journal import Journal
from dreamshare.protocol.messages import MOST_PRIORITY, Submit, TaskPhase, TaskReport
from dreamshare.protocol.outcomes import (
    DeviceFaulty,
    Spent,
    SumAbandoned,
    SumDone,
    TaskFailed,
    TaskOutcome,
    TellSpread,
)
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.protocol.resuming import Stored, read_task
from dreamshare.protocol.terms import TaskTerms
from dreamshare_aggregator.asking import Asking
from dreamshare_aggregator.board import Board, Entry
from dreamshare_aggregator.costs import Costs
from dreamshare_aggregator.history import round_of
from dreamshare_aggregator.store import Store
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity

_LOG = logging.getLogger(__name__)

Add = Callable[[Coordinator, Journal], TaskRun]
"""Hands a coordinator to the driver."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order that can be run."""

    algorithm: Algorithm[object]
    terms: TaskTerms


def prepare(order: Submit, lookup: Lookup) -> Prepared:
    """Check an order before it is taken.

    Raises:
        ConfigError: unknown algorithm, a config, cohort or deadlines out of range, or fields that
            do not fit the encoding.
    """
    if order.seed < 0:
        raise ConfigError(f"seed {order.seed} must be 0 or more")
    algorithm = lookup(order.algorithm, order.config)
    if not 0 <= order.priority <= MOST_PRIORITY:
        raise ConfigError(f"priority {order.priority} must be 0 to {MOST_PRIORITY}")
    return Prepared(algorithm, terms_of(algorithm, order.cohort, order.deadlines, order.privacy))


class LiveTask:
    """A task that is being run.

    Args:
        entry: its place on the board.
        prepared: what is run.
        identity: the aggregator's.
        entropy: of nonces and session keys.
        threads: how many its machine computes with.
        clock: what time it is.
    """

    def __init__(
        self,
        entry: Entry,
        prepared: Prepared,
        board: Board,
        store: Store,
        identity: Identity,
        entropy: Entropy,
        threads: int,
        clock: Clock,
    ) -> None:
        self._entry = entry
        self._prepared = prepared
        self._board = board
        self._store = store
        self._identity = identity
        self._entropy = entropy
        self._threads = threads
        self._clock = clock
        self._run: TaskRun | None = None
        self._cancelled = asyncio.Event()
        self._held = False
        self._failure = ""
        self._counted = 0  # bytes of the rounds that are in the history
        self._costs = Costs(_delta(entry))
        self._asking = Asking()

    async def ask(self, asked: AskTask) -> TaskAnswer:
        """Return the answer to an operator's question, once its sum is closed.

        Raises:
            ConfigError: the task takes no questions, not this one, or is over.
        """
        order, answer = await self._asking.ask(asked)
        if self._run is not None and order is not None and not isinstance(order, Idle):
            self._run.give(order)
        return await asyncio.shield(answer)

    def cancel(self) -> None:
        """End the task; an open round is given up."""
        self._cancelled.set()
        if self._run is not None:
            self._run.give(Finished("cancelled"))

    def hold(self, give_up: bool = False) -> None:
        """Let the task rest: an open round is finished first, or given up."""
        if give_up or not self._held:
            self._held = True
            if self._run is not None:
                self._run.give(Held(give_up))

    def release(self) -> None:
        """Let the task go on."""
        if self._held:
            self._held = False
            if self._run is not None:
                self._run.give(Released())

    async def work(self, add: Add, had_round: Callable[[], None]) -> None:
        """Run the task to its end, or until the driver stops; what was stored is taken up first.

        `had_round` is called whenever something came of an order. Whoever waits for an answer hears
        of the end at once, of an error of the algorithm's, too.
        """
        try:
            await self._work(add, had_round)
        except Exception as error:
            self._asking.end(f"the task is over: {type(error).__name__}: {error}")
            raise
        self._asking.end(f"the task is over: {self._failure or 'it was ended'}")

    async def _work(self, add: Add, had_round: Callable[[], None]) -> None:
        entry = self._entry
        task, order = entry.status.task, entry.order
        journal = self._store.journal(task)
        checkpoint = await self._store.checkpoint(task)
        self._costs = Costs(_delta(entry), await self._earlier_reports())
        loop = TaskLoop(self._prepared.algorithm, order.config, order.seed, checkpoint)
        left = loop.sums_left
        await self._board.step(entry, lambda p: (p.waiting(self._wanted, left), "waiting"))
        stored = await asyncio.to_thread(self._read, journal)
        if self._cancelled.is_set():
            await self._end(TaskPhase.CANCELLED, "cancelled before it began")
            return
        coordinator = Coordinator(
            self._identity, task, self._prepared.terms, self._entropy, stored, self._threads
        )
        self._run = run = add(coordinator, journal)
        if self._held:
            run.give(Held())
        await self._order(run, loop)
        self._asking.begin(loop)
        async for outcome in run.reports():
            if isinstance(outcome, TaskFailed):
                self._failure = outcome.reason
            else:
                await self._follow(loop, run, outcome)
                if isinstance(outcome, SumDone):
                    self._asking.summed(outcome)
                if isinstance(outcome, SumDone | TellSpread | SumAbandoned):
                    had_round()
        self._asking.end(f"the task is over: {self._failure or 'it was ended'}")
        if self._failure:
            await self._end(TaskPhase.FAILED, self._failure)
        elif loop.done is not None:
            await self._finish(loop.done)
        elif self._cancelled.is_set():
            await self._end(TaskPhase.CANCELLED, "cancelled by an operator")

    def _read(self, journal: Journal) -> Stored:
        """Return what the journal says; called from a thread."""
        records = journal.records()
        return read_task(
            self._identity,
            self._entry.status.task,
            self._prepared.terms,
            self._entropy,
            records,
            self._clock.now(),
            stored_tells(records),
            self._threads,
        )

    async def _order(self, run: TaskRun, loop: TaskLoop) -> None:
        """Tell the coordinator what is wanted now; what has no place there ends the task."""
        order = await asyncio.to_thread(loop.order)
        try:
            if isinstance(order, Asked):
                self._prepared.terms.check(order)
        except ConfigError as error:
            self._give_up(run, str(error))
        else:
            if not isinstance(order, Idle):
                run.give(order)

    def _give_up(self, run: TaskRun, reason: str) -> None:
        self._failure = reason
        run.give(Finished("failed"))

    async def count_devices(self, here: int) -> None:
        """Note how many devices are here, while the task waits for them."""
        await self._board.step(self._entry, lambda p: (p.joined(here, self._wanted), "joined"))

    @property
    def _wanted(self) -> str:
        order = self._entry.order
        return f"{order.cohort.least} devices that compute {order.algorithm}"

    async def _follow(self, loop: TaskLoop, run: TaskRun, outcome: TaskOutcome) -> None:
        """Note what was reported; where it ends an order, give the next one."""
        state = None
        if isinstance(outcome, DeviceFaulty):
            task, device = self._entry.status.task, outcome.device
            reason = outcome.reason.name.lower().replace("_", " ")
            text = "device %s spoilt shares in round %d of task %s (%s): it stays out of the task"
            _LOG.warning(text, short(device), outcome.round, short(task), reason)
        try:
            state = await asyncio.to_thread(_react, loop, outcome)
        except ConfigError as error:  # the algorithm cannot go on from this
            self._give_up(run, str(error))
        left = loop.sums_left
        done = round_of(outcome, self._entry.status.roster, run.traffic - self._counted)
        if done is not None:
            self._counted = run.traffic
        await self._board.step(
            self._entry,
            lambda progress: progress.after(outcome, left),
            self._metrics(outcome),
            state,
            done,
        )
        if state is not None:
            await self._order(run, loop)

    async def _finish(self, done: Done) -> None:
        archive = await asyncio.to_thread(encode_arrays, done.result)
        metrics = {**done.metrics, **self._costs.summary()}
        detail = done.advice or "done"
        await self._board.end(self._entry, TaskPhase.DONE, detail, metrics, archive)

    async def _end(self, phase: TaskPhase, detail: str) -> None:
        await self._board.end(self._entry, phase, detail)

    async def _earlier_reports(self) -> Sequence[TaskReport]:
        """Return the stored reports of a task with noise; none are needed without."""
        found: list[TaskReport] = []
        if self._entry.order.privacy is None:
            return found
        task = self._entry.status.task
        while more := await self._store.reports(task, found[-1].number if found else 0):
            found += more
        return found

    def _metrics(self, outcome: TaskOutcome) -> Mapping[str, float]:
        """Return what is public about an outcome, as numbers for people."""
        match outcome:
            case SumDone(spent=spent):
                survivors = float(len(outcome.survivors))
                numbers = {"survivors": survivors, "weight_sum": float(outcome.weight_sum)}
                numbers |= _measured(outcome)
                return numbers if spent is None else {**numbers, **self._costs.add(spent)}
            case SumAbandoned(spent=Spent() as spent):
                return self._costs.add(spent)
            case TellSpread():
                return {"sent_to": float(outcome.sent_to), "learnt": float(outcome.learnt)}
        return {}


def _delta(entry: Entry) -> float:
    """Return the delta that a task's epsilon is counted at."""
    privacy = entry.order.privacy
    return Privacy(clip=1.0, multiplier=1.0).delta if privacy is None else privacy.delta


def _measured(done: SumDone) -> Mapping[str, float]:
    """Return accuracy and loss where the sum was an evaluation."""
    if done.step != EVALUATE or not {"correct", "loss", "count"} <= done.mean.keys():
        return {}
    accuracy, loss = evaluated(done.mean)
    return {"accuracy": accuracy, "loss": loss}


def _react(loop: TaskLoop, outcome: TaskOutcome) -> bytes | None:
    """Return the task's new state where the outcome ends an order."""
    return None if loop.react(outcome) is None else loop.checkpoint()
