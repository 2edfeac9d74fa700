"""Work that nobody wants any more ends at its next step, and the learner is as it was."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dreamshare.clock import ManualClock, SystemClock
from dreamshare.engine import ThreadEngine
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.onnx import OnnxLearner
from dreamshare.learning.tape import Tape
from dreamshare.protocol.events import Compute, Learn
from dreamshare.protocol.plan import RoundPlan
from dreamshare.transport.tap import ByteCounter
from dreamshare.updates import Update
from dreamshare_edge.equipment import Equipment
from dreamshare_edge.halting import Halt, Halted, HaltingData, HaltingLearner
from dreamshare_edge.policy import Policy
from dreamshare_edge.report import Report
from dreamshare_edge.sample import SampleLearner, make_equipment
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore
from dreamshare_edge.worker import AgentWorker
from tests.integration.bundles import small_bundle
from tests.unit.shells.test_worker import ASK, TASK, tell


class Endless:
    """Trains for ever: work without an end of its own."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended: BaseException | None = None

    def compute(
        self, order: Compute, learner: Learner, data: Data, rng: np.random.Generator, tape: Tape
    ) -> Update:
        def steps() -> Iterator[tuple[Batch, ...]]:
            for number, batch in enumerate(data.batches(rng, 8)):
                if number == 3:
                    self.begun.set()
                yield (batch,)

        try:
            learner.fit(steps(), FitObjective(learning_rate=0.1))
        except BaseException as error:
            self.ended = error
            raise
        return Update()

    def carries(self, plan: RoundPlan) -> bool:
        return False

    def carry(self, order: Compute, own: Update, late: Update) -> Update:
        return own

    def learn(self, order: Learn, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        self.compute(ASK, learner, data, rng, Tape(SystemClock()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with FileStore(tmp_path) as store:
        yield store


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["compute", "learn"])
@pytest.mark.parametrize("runtime", ["sample", "onnx"])
async def test_cancelled_work_ends_soon_and_leaves_no_trace(
    store: FileStore, kind: str, runtime: str
) -> None:
    clock, traffic, work = ManualClock(1000.0), ByteCounter(), Endless()
    equipment = make_equipment({"seed": 1})
    if runtime == "onnx":
        equipment = Equipment(OnnxLearner(small_bundle()), equipment.data)
    spending = Spending(store, traffic, clock)
    report = Report(lambda line: None, clock, traffic)
    engine = ThreadEngine()
    worker = AgentWorker(
        equipment, work, bytes(16), 0, engine, store, clock, report, spending, Policy()
    )
    await worker.begin()
    before, kept = equipment.learner.snapshot(), store.load("learner")
    wanted = worker.compute(TASK, ASK) if kind == "compute" else worker.learn(TASK, tell(1, 0))
    doing: asyncio.Task[object] = asyncio.ensure_future(wanted)
    await asyncio.to_thread(work.begun.wait)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    await engine.run(lambda: None)  # the one thread is free again, so the work has ended
    assert isinstance(work.ended, Halted)
    assert equipment.learner.snapshot() == before
    assert store.load("learner") == kept
    engine.close()


def test_every_call_notices_a_halt_and_changes_nothing() -> None:
    equipment = make_equipment({"seed": 1})
    halt = Halt()
    learner = HaltingLearner(equipment.learner, halt)
    data = HaltingData(equipment.data, halt)
    assert len(data) == len(equipment.data)
    batches = data.batches(np.random.default_rng(0), 4)
    batch = next(batches)
    before = learner.snapshot()
    learner.load_parameters({name: array + 1 for name, array in learner.parameters().items()})
    learner.remember({"dreams": np.ones(3, np.float32)})
    assert learner.snapshot() != before
    halt.ask()
    for call in (
        lambda: next(batches),
        lambda: data.class_counts(10),
        data.held_out,
        learner.snapshot,
        learner.parameters,
        lambda: learner.logits(batch.x_NCHW),
        lambda: learner.fit([(batch,)], FitObjective(learning_rate=0.1)),
        lambda: learner.restore(before),
        lambda: learner.remember({}),
    ):
        with pytest.raises(Halted):
            call()
    learner.undo()
    learner.undo()
    assert equipment.learner.snapshot() == before


def test_work_that_changes_nothing_copies_nothing() -> None:
    class Copied(SampleLearner):
        copies = 0

        def snapshot(self) -> bytes:
            self.copies += 1
            return super().snapshot()

    inner = Copied()
    learner = HaltingLearner(inner, Halt())
    learner.logits(np.zeros((2, 1, 8, 8), np.float32))
    learner.parameters()
    learner.undo()
    assert inner.copies == 0
    learner.remember({})
    learner.load_parameters(learner.parameters())
    assert inner.copies == 1


def test_what_a_learner_and_data_have_of_their_own_is_reached() -> None:
    """Algorithms of an app's own call it; hidden once, it made every such round a refusal."""

    class Calibrated(SampleLearner):
        temperature = 2.5

    class Located(ArrayData):
        city = "Lagos"

    halt = Halt()
    x, y = np.zeros((1, 1, 8, 8), np.float32), np.zeros(1, np.int64)
    learner = HaltingLearner(Calibrated(), halt)
    data = HaltingData(Located(x, y), halt)
    assert getattr(learner, "temperature") == 2.5  # noqa: B009  no protocol names it
    assert getattr(data, "city") == "Lagos"  # noqa: B009
    assert not hasattr(learner, "colour")
    halt.ask()
    with pytest.raises(Halted):
        getattr(learner, "temperature")  # noqa: B009
