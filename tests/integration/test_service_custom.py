"""An application's own algorithm, on the real shells, over the in-process network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.privacy import Privacy
from dreamshare.protocol.messages import Cohort, Deadlines, Submit, TaskPhase
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.updates import Array, Field, Update
from dreamshare_aggregator.handle import TaskEnded
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as DeviceSurroundings
from tests.integration.toy import Loopback, Toy, toy_data

DEVICES = 4


@dataclass(frozen=True, slots=True)
class Counts:
    of_class: tuple[float, ...] = ()


class Counting:
    """Sums class counts; asks for more than it declares when its config is `{"greedy": true}`."""

    name = "counting/1"

    def __init__(self, greedy: bool) -> None:
        self.greedy = greedy

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"count": (Field("counts", (3,), bound=1000.0),)}

    def init(self, rng: np.random.Generator) -> Counts:
        return Counts()

    def plan(self, state: Counts) -> Ask | Tell | Done:
        if state.of_class:
            return Done({"counts": np.array(state.of_class)}, {"total": sum(state.of_class)})
        step = "more" if self.greedy else "count"
        return Ask(step, self.steps()["count"])

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        return Update({"counts": data.class_counts(3).astype(np.float64)})

    def merge(self, state: Counts, mean: Mapping[str, Array], crowd: Crowd) -> Counts:
        return Counts(tuple(float(n) * crowd.survivors for n in mean["counts"]))


def lookup(name: str, config: bytes) -> Counting:
    """The application's own catalogue."""
    if name != Counting.name:
        raise ConfigError(f"there is no {name} here")
    return Counting(greedy=config == b'{"greedy":true}')


async def run(
    path: Path, stack: AsyncExitStack, config: bytes, policy: Policy | None = None
) -> tuple[Aggregator, Submit]:
    """Open an aggregator and four devices on a memory network; return what to submit."""
    network = MemoryNetwork(SystemClock())
    federation = Loopback.create(path)
    aggregator = await stack.enter_async_context(
        Aggregator(
            [network.listener()],
            open_store("sqlite://"),
            federation.aggregator,
            Surroundings(lookup=lookup),
        )
    )
    for number in range(DEVICES):
        device: Identity = federation.enrol(Role.DEVICE, f"device-{number}")
        agent = EdgeAgent(
            network.link(device.id.hex()),
            Toy(),
            toy_data(number),
            (Counting.name,),
            FileStore(path / f"home-{number}"),
            policy or Policy(),
            device,
            DeviceSurroundings(lookup=lookup, report=path / f"report-{number}.jsonl"),
        )
        await stack.enter_async_context(agent)
    cohort = Cohort(least=DEVICES, most=DEVICES)
    return aggregator, Submit(Counting.name, config, cohort, Deadlines(30, 30, 30))


async def test_it_runs(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        aggregator, order = await run(tmp_path, stack, b"{}")
        result = await (await aggregator.order(order)).result()
    expected = sum(toy_data(number).class_counts(3) for number in range(DEVICES))
    # resolution of a coordinate: 2 * 1000 / (2^16 - 1) a device
    np.testing.assert_allclose(result.arrays["counts"], expected, atol=DEVICES * 0.04)
    assert result.status.secure_aggregation


async def test_an_order_that_it_does_not_declare_fails_its_task_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        aggregator, order = await run(tmp_path, stack, b'{"greedy":true}')
        task = await aggregator.order(order)
        with pytest.raises(TaskEnded, match="declares no step 'more'"):
            await task.result()
        assert task.status.phase is TaskPhase.FAILED
        good = Submit(order.algorithm, b"{}", order.cohort, order.deadlines)
        assert (await (await aggregator.order(good)).result()).status.aggregations == 1


async def test_an_unknown_algorithm_is_refused_when_it_is_submitted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        aggregator, order = await run(tmp_path, stack, b"{}")
        with pytest.raises(ConfigError, match="there is no other/1 here"):
            await aggregator.order(Submit("other/1", b"{}", order.cohort))


async def test_noise_is_paid_from_a_budget_until_it_is_spent(tmp_path: Path) -> None:
    """One sum with a multiplier of 5 costs about 0.9 at delta 1e-6; the budget holds one, not two.

    The second task is another: same questions, its own id; what was spent is the device's.
    """
    policy = Policy(epsilon_per_month=1.2, min_noise=4.9)
    async with AsyncExitStack() as stack:
        aggregator, order = await run(tmp_path, stack, b"{}", policy)
        noisy = replace(order, privacy=Privacy(clip=0.1, multiplier=5.0))
        first = await (await aggregator.order(noisy)).result()
        spent = first.metrics["epsilon"]
        assert 0.7 < spent < 1.2
        assert first.metrics["noisy_rounds"] == 1.0
        assert first.metrics["honest_crowd"] == 2.0  # 4 devices: u_min 3, one colluder
        assert first.metrics["noise_multiplier"] == pytest.approx(5.0 * (3 / 2) ** 0.5)
        again = replace(noisy, config=b'{"greedy":false}')
        with pytest.raises(TaskEnded, match="given up"):
            await (await aggregator.order(again)).result()
    lines = (tmp_path / "report-0.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["epsilon"] == pytest.approx(spent)
    declined = [line for line in map(json.loads, lines) if line["event"] == "declined"]
    assert {line["code"] for line in declined} == {"S6"}
    assert any("budget is spent" in line["text"] for line in declined)
