"""Batches of pure work: what is asked of an engine, and what it answers.

    def squared(offset: int, number: int, site: Site) -> int:      # at the top of a module
        return number * number + offset

    async with open_engine(EngineConfig("processes")) as engine:
        print(await gathered(engine, Batch(squared, pieces=(1, 2, 3), common=10)))

Rules:
- a piece of work is a module's function, sent by its name, and plain values: our typed records,
  numbers, texts, NumPy arrays. It depends on nothing else, so that a piece may run anywhere, and
  again where a worker died;
- what it is given it does not change: arrays may be shared with others, and be read-only;
- which engine runs a batch, and how many pieces at a time, never changes what comes out;
- values travel pickled between an operator's own processes and machines, which trust each other.
  Nothing that came from a device or a broker is ever unpickled: it is decoded first, by
  `dreamshare.wire`, and an engine is no way to reach a device.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from dreamshare.errors import ConfigError, DreamshareError

C = TypeVar("C")
A = TypeVar("A")
R = TypeVar("R")

MOST_RETRIES = 100


class Site(Protocol):
    """Where a piece is computed, as its function sees it."""

    @property
    def place(self) -> int:
        """Which of the engine's places computes it, from 0: of several GPUs each takes its turn."""
        ...

    def tell(self, text: str) -> None:
        """Report progress, as text. In a batch that was given up it does not return."""
        ...


Function = Callable[[C, A, Site], R]


@dataclass(frozen=True, slots=True)
class Resources:
    """What one piece occupies while it runs; places in threads and processes have it all.

    Attributes:
        cpus: cores, > 0; the threads that a piece may use.
        gpus: > 0 has it run where a GPU is, with so much of one; 0 for none.
        named: pairs (name, amount > 0) of a cluster's own resources, as its nodes declare them.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    named: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.cpus <= 0 or self.gpus < 0:
            raise ConfigError(f"{self.cpus} cores and {self.gpus} GPUs; use > 0 and >= 0")
        if any(amount <= 0 for _, amount in self.named):
            raise ConfigError("a named resource of a piece of work needs an amount > 0")


@dataclass(frozen=True, slots=True)
class Batch(Generic[C, A, R]):
    """Work to be done: one function, many arguments.

    Attributes:
        function: at the top of a module that workers can import; not a lambda, nor a script's own.
        pieces: an argument each; results carry its place in this sequence.
        common: the first argument of every call. It is sent once to each worker, or kept in the
            cluster's store, and large arrays in it exist once a machine.
        resources: of one piece.
        retries: how often a piece is begun again whose worker died, 0 to 100. One that raises is
            not: it would raise again.
        fresh: give every piece a process of its own, so that nothing of one reaches into another;
            it costs a start of Python each. In threads it means nothing.
    """

    function: Function[C, A, R]
    pieces: Sequence[A]
    common: C
    resources: Resources = Resources()
    retries: int = 3
    fresh: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= MOST_RETRIES:
            raise ConfigError(f"{self.retries} retries; use 0 to {MOST_RETRIES}")
        module, name = self.function.__module__, self.function.__qualname__
        if module == "__main__":
            raise ConfigError(
                f"{name} belongs to the script that runs; move it to a module that workers import"
            )
        if getattr(sys.modules.get(module), name, None) is not self.function:
            raise ConfigError(f"{module}.{name} is no function at the top of an importable module")

    @property
    def name(self) -> str:
        """What workers look the function up by: "package.module:function"."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


class Reason(StrEnum):
    """Why a piece gave no result."""

    REFUSED = "refused"
    """It raised a DreamshareError, on purpose: the text is for people."""
    RAISED = "raised"
    """It raised something else: a defect, or a missing module."""
    LOST = "lost"
    """Its worker died, and so did those that tried again."""
    UNSENDABLE = "unsendable"
    """Its argument or its result cannot be pickled."""


@dataclass(frozen=True, slots=True)
class Told:
    """A piece reported progress. A piece that is begun again tells again."""

    piece: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """A piece is done."""

    piece: int
    value: R


@dataclass(frozen=True, slots=True)
class Failed:
    """A piece will give no result.

    Attributes:
        piece: which.
        reason: why.
        kind: name of the error's class; empty where there was none.
        text: of the error.
        trace: where it was raised, for developers; empty where nothing was.
    """

    piece: int
    reason: Reason
    kind: str
    text: str
    trace: str = ""

    def error(self) -> WorkFailed:
        """Return the failure as something to raise."""
        return WorkFailed(self)


Event = Told | Finished[R] | Failed
Running = AbstractAsyncContextManager[AsyncIterator[Event[R]]]


class WorkFailed(DreamshareError):
    """A piece of work gave no result.

    Attributes:
        failed: which, and why.
    """

    def __init__(self, failed: Failed) -> None:
        said = failed.text or "it gave no reason"
        text = f"piece {failed.piece} of the work was not done: {said}"
        if failed.reason is Reason.REFUSED:
            text = said
        elif failed.reason is Reason.RAISED:
            text = f"piece {failed.piece} of the work raised {failed.kind}: {said}"
        super().__init__(text)
        self.failed = failed


class BatchEngine(Protocol):
    """Runs batches; several at a time share its places. Leaving its block closes it."""

    @property
    def at_once(self) -> int:
        """How many pieces run at a time."""
        ...

    def run(self, batch: Batch[C, A, R]) -> Running[R]:
        """Return a block in which the batch runs: its events, each piece's result as it comes.

            async with engine.run(batch) as events:
                async for event in events: ...

        The iteration ends when every piece has finished or failed. Leaving the block earlier, by an
        error or a cancelled task too, gives the rest up: nothing of the batch runs on afterwards.
        In processes and on a cluster running pieces are stopped where they are; in threads they are
        stopped where they next tell something, and waited for.

        Raises:
            WorkFailed: the common argument cannot be sent.
            LocalProtocolError: the engine is closed.
        """
        ...

    async def close(self) -> None:
        """Give everything back. Idempotent; no batch may be running."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


async def gathered(
    engine: BatchEngine, batch: Batch[C, A, R], progress: Callable[[Told], None] | None = None
) -> tuple[R, ...]:
    """Return the results of a batch in the order of its pieces.

    Args:
        engine: where it runs.
        batch: what runs.
        progress: is given what pieces tell.

    Raises:
        WorkFailed: a piece failed, the first that did; the others are given up.
    """
    results: dict[int, R] = {}
    async with engine.run(batch) as events:
        async for event in events:
            match event:
                case Told() if progress is not None:
                    progress(event)
                case Finished(piece, value):
                    results[piece] = value
                case Failed():
                    raise event.error()
                case _:
                    pass
    return tuple(results[piece] for piece in range(len(batch.pieces)))
