"""A federation over the network: a task of a client's, asked from any thread, also in notebooks.

    client = Client(GrpcLink("grpcs://aggregator.example:7443", tls=tls), identity)
    with autodiff.federation(client, (LOSS,), cohort=Cohort(least=8, most=32)) as fed:
        loss = fed.mean(LOSS, theta)
        loss.backward()

Rules:
- the client's event loop runs in a thread of the session's own: a sum, or `backward`, blocks who
  asked and nobody else;
- a round that is not answered in time is an error where it was asked, never a derivative of 0; the
  session is over then, since its task still waits for that round;
- leaving the block ends the task, or cancels it where the block failed; `with` is the only form.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import TimeoutError as TooLate
from typing import Self, TypeVar

import numpy as np

from dreamshare.algorithms.autodiff.config import AutodiffConfig, Program
from dreamshare.algorithms.base import Question
from dreamshare.algorithms.checkpoint import decode_arrays
from dreamshare.autodiff.federation import Federation
from dreamshare.autodiff.rounds import Answer
from dreamshare.autodiff.traffic import Scales
from dreamshare.client import Client
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Cohort, Deadlines

T = TypeVar("T")

GOODBYE_S = 20.0
"""Seconds that the end of a session may take."""


class NotAnswered(DreamshareError):
    """A round was not closed, or not in time; the session is over.

    Attributes:
        step: what was asked, such as "logistic/1:gradient:0"; "" outside a round.
    """

    def __init__(self, text: str, step: str = "") -> None:
        super().__init__(text)
        self.step = step


@contextlib.contextmanager
def federation(
    client: Client,
    programs: Sequence[Program],
    *,
    cohort: Cohort,
    rounds: int = 64,
    deadlines: Deadlines | None = None,
    deadline_s: float = 600.0,
    dropouts: str = "rescale",
    clipped: str = "refuse",
    eager: bool = True,
    seed: int = 0,
    tape_s: float = 0.0,
    name: str = "",
) -> Iterator[Federation]:
    """Open a session.

    Args:
        client: an operator's, not opened yet; it belongs to the session.
        programs: what may be asked for.
        cohort: who takes part.
        rounds: that the session is planned for, >= 1; more are possible.
        deadlines: of each stage of a round.
        deadline_s: seconds until a round counts as not answered, > 0; the first one waits for the
            cohort and its set-up, too.
        dropouts, clipped, eager, seed: see `Federation`.
        tape_s: see `AutodiffConfig`; 0 to 3600.
        name: of the task, for people.

    Raises:
        ConfigError: these terms cannot be run.
        NotAnswered: the aggregator took no task in time. Inside the block: a round failed.
        Unreachable, Rejected: as `Client`.
    """
    if deadline_s <= 0:
        raise ConfigError(f"deadline_s is {deadline_s}; it must be above 0")
    config = AutodiffConfig(tuple(programs), rounds, tape_s)
    with _Thread() as thread:
        thread.run(client.__aenter__(), None)
        try:
            submitted = client.submit(config, cohort, deadlines, name=name)
            task = thread.run(submitted, deadline_s)
            sums = _TaskRounds(thread, client, task, deadline_s)
            ended = False
            try:
                yield Federation(
                    sums,
                    config,
                    cohort,
                    dropouts=dropouts,
                    clipped=clipped,
                    eager=eager,
                    seed=seed,
                    scales=Scales(config, cohort, deadlines, client.revocations),
                )
                ended = not sums.failure
            finally:
                with contextlib.suppress(DreamshareError):  # of a task that is over already
                    if ended:
                        thread.run(client.ask(task, Question("")), GOODBYE_S)
                    else:
                        thread.run(client.cancel(task), GOODBYE_S)
        finally:
            thread.run(client.__aexit__(None, None, None), GOODBYE_S)


class _Thread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="dreamshare-autodiff", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[None, None, T], seconds: float | None) -> T:
        """Return what `work` returns.

        Raises:
            NotAnswered: it took longer; it is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TooLate:
            future.cancel()
            raise NotAnswered(f"there was no answer within {seconds:g} seconds") from None
        except BaseException:
            future.cancel()
            raise


class _TaskRounds:
    """Rounds of a task, asked for over the network."""

    def __init__(self, thread: _Thread, client: Client, task: TaskId, deadline_s: float) -> None:
        self._thread = thread
        self._client = client
        self._task = task
        self._deadline_s = deadline_s
        self.failure = ""
        self._failed = ""

    def ask(self, question: Question) -> Answer:
        """See `dreamshare.autodiff.rounds.Rounds`."""
        if self.failure:
            raise NotAnswered(f"this session is over: {self.failure}", self._failed)
        try:
            asked = self._client.ask(self._task, question)
            answered = self._thread.run(asked, self._deadline_s)
        except DreamshareError as error:
            self._failed = question.step
            self.failure = (
                f"{question.step} was not answered ({error}); are enough devices there, do their "
                "policies name this program and its transforms, and was the same not asked in an "
                "earlier session (give another seed then)?"
            )
            raise NotAnswered(self.failure, self._failed) from error
        count = len(answered.survivors)
        means = decode_arrays(answered.archive)
        sums = {name: np.asarray(mean, np.float64) * count for name, mean in means.items()}
        return Answer(sums, frozenset(answered.survivors), answered.roster)
