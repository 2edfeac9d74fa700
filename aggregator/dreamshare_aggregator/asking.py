"""An operator's questions to one task at work, and who waits for their answers.

Rules:
- one question is open at a time; the same one asked again waits for the same answer, and gets it
  again while no other was asked: who lost a connection asks as before;
- a task that ends answers whoever waits with the reason.
"""

from __future__ import annotations

import asyncio

from dreamshare.algorithms.base import Question
from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.binding import Order, TaskLoop
from dreamshare.errors import ConfigError
from dreamshare.protocol.outcomes import SumDone
from dreamshare.protocol.questions import AskTask, TaskAnswer


class Asking:
    """See the module's docstring; used from one event loop."""

    def __init__(self) -> None:
        self._loop: TaskLoop | None = None
        self._begun = asyncio.Event()
        self._over = ""
        self._asked: AskTask | None = None
        self._answer: asyncio.Future[TaskAnswer] | None = None

    def begin(self, loop: TaskLoop) -> None:
        """The task is at work."""
        self._loop = loop
        self._begun.set()

    async def ask(self, asked: AskTask) -> tuple[Order | None, asyncio.Future[TaskAnswer]]:
        """Return the order that a question makes, None where it is open already, and its answer.

        Raises:
            ConfigError: the task takes no questions, or not this one, or is over.
        """
        await self._begun.wait()
        if self._loop is None:
            raise ConfigError(self._over)
        if self._answer is not None and asked == self._asked:
            return None, self._answer
        if self._over:
            raise ConfigError(self._over)
        question = Question(asked.step, decode_arrays(asked.archive) if asked.archive else {})
        order = None if self._loop.answers(question) else self._loop.hear(question)
        self._asked = asked
        self._answer = asyncio.get_running_loop().create_future()
        if not asked.step:
            self._answer.set_result(TaskAnswer())
        return order, self._answer

    def summed(self, done: SumDone) -> None:
        """A sum has been merged: whoever waits for it is answered."""
        if self._answer is not None and not self._answer.done():
            archive = encode_arrays(done.mean)
            self._answer.set_result(TaskAnswer(archive, done.survivors, done.roster))

    def end(self, reason: str) -> None:
        """The task is over, or stops here; idempotent."""
        self._over = self._over or reason
        self._begun.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConfigError(self._over))
            self._answer.exception()  # nobody may be waiting
