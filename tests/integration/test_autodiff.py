"""A federated gradient over gRPC: real aggregator, agents, masks and TLS; errors in backward."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamshare import autodiff
from dreamshare.algorithms.autodiff import Autodiff, AutodiffState
from dreamshare.algorithms.base import Algorithm, Crowd
from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.autodiff import Federation, NotAnswered, OracleRounds
from dreamshare.client import Client
from dreamshare.clock import SystemClock
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.tap import Tap, TappedListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Array
from dreamshare_aggregator import Surroundings
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy
from tests.autodiff.federations import CONFIG, oracle
from tests.autodiff.programs import LOSS, SOURCES, data_of, learner_of
from tests.autodiff.test_federation import ALONG, THETA
from tests.integration.toy import Loopback

DEVICES = 4
GUIDE = Path(__file__).parents[2] / "docs" / "autodiff.md"
pytestmark = pytest.mark.timeout(300)

ALLOWED = tuple(f"logistic/1:{transform}" for transform in ("value", "vjp", "hvp"))
COHORT = Cohort(least=DEVICES, most=DEVICES, survivors=3)
TIMES = Deadlines(60, 60, 60)


@asynccontextmanager
async def stage(
    path: Path,
    allowed: tuple[str, ...] = ALLOWED,
    *taps: Tap,
    kinds: Sequence[str] = ("torch", "onnx"),
    around: Surroundings | None = None,
) -> AsyncIterator[Client]:
    """An aggregator and its agents on loopback; yields an operator's client, not opened yet."""
    toy = Loopback.create(path)
    async with AsyncExitStack() as stack:
        listener = toy.listener()
        await stack.enter_async_context(aggregator_of(toy, path, listener, *taps, around=around))
        for i in range(DEVICES):
            kind = kinds[i % len(kinds)]
            await stack.enter_async_context(agent_of(toy, path, i, listener.port, kind, allowed))
        link = GrpcLink(f"grpcs://127.0.0.1:{listener.port}", TlsFiles.of(toy.operator))
        yield Client(link, toy.operator, SystemClock())


def aggregator_of(
    toy: Loopback,
    path: Path,
    listener: GrpcListener,
    *taps: Tap,
    around: Surroundings | None = None,
) -> Aggregator:
    store = open_store(f"sqlite:///{path}/rounds.db")
    return Aggregator([TappedListener(listener, *taps)], store, toy.aggregator, around)


def agent_of(
    toy: Loopback, path: Path, number: int, port: int, kind: str, allowed: tuple[str, ...]
) -> EdgeAgent:
    key = toy.folder.folder / f"device-{number}.key"
    known = key.exists()  # an agent that is started again
    device = Identity.load(key) if known else toy.enrol(Role.DEVICE, f"device-{number}")
    return EdgeAgent(
        link=GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(device)),
        learner=learner_of(kind),
        data=data_of(number),
        algorithms=("autodiff/1",),
        store=FileStore(path / f"home-{number}"),
        policy=Policy(programs=allowed),
        identity=device,
    )


async def in_thread(
    client: Client,
    work: Callable[[Federation], None],
    deadline_s: float = 200.0,
    eager: bool = True,
    tape_s: float = 0.0,
) -> None:
    """What a notebook does: a plain function, in a thread without an event loop."""

    def run() -> None:
        with autodiff.federation(
            client,
            (LOSS,),
            cohort=COHORT,
            rounds=8,
            deadlines=TIMES,
            deadline_s=deadline_s,
            eager=eager,
            tape_s=tape_s,
        ) as fed:
            work(fed)

    await asyncio.to_thread(run)


async def test_a_gradient_and_a_curvature_come_over_the_wire(tmp_path: Path) -> None:
    def work(fed: Federation) -> None:
        exact = oracle(DEVICES)

        def loss(of: Federation) -> Callable[[Tensor], Tensor]:
            return lambda theta: of.mean(LOSS, theta)

        leaf = THETA.clone().requires_grad_()
        fed.mean(LOSS, leaf).backward()  # type: ignore[union-attr]
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad, exact.grad(loss(exact))(THETA), rtol=0, atol=1e-5)
        near, true = fed.hvp(loss(fed))(THETA, ALONG), exact.hvp(loss(exact))(THETA, ALONG)
        torch.testing.assert_close(near, true, rtol=0, atol=1e-5)
        assert [each.step for each in fed.ledger] == [
            "logistic/1:value+gradient:0",
            "logistic/1:product:0",
        ]

    async with stage(tmp_path) as client:
        await in_thread(client, work)


async def test_devices_that_do_not_allow_it_make_an_error_in_backward(tmp_path: Path) -> None:
    """The value is allowed and its gradient is not; the session is over then, and says why."""

    def work(fed: Federation) -> None:
        leaf = THETA.clone().requires_grad_()
        loss = fed.mean(LOSS, leaf)
        assert isinstance(loss, Tensor)
        with pytest.raises(NotAnswered, match="gradient:0 was not answered .* policies") as error:
            loss.backward()
        assert error.value.step == "logistic/1:gradient:0"
        assert leaf.grad is None
        with pytest.raises(NotAnswered, match="this session is over"):
            fed.mean(LOSS, 2 * THETA)

    async with stage(tmp_path, allowed=("logistic/1:value",)) as client:
        await in_thread(client, work, deadline_s=30.0, eager=False)


class Broken(Autodiff):
    """An algorithm with a bug, where a sum is merged."""

    def merge(self, state: AutodiffState, mean: Mapping[str, Array], crowd: Crowd) -> AutodiffState:
        raise ZeroDivisionError("a bug of the algorithm")


def broken(name: str, config: bytes) -> Algorithm[object]:
    found = algorithm_from(name, config)
    assert isinstance(found, Autodiff)
    return Broken(found.config)  # type: ignore[return-value]


async def test_a_task_that_dies_says_so_at_once(tmp_path: Path) -> None:
    """Without waiting for `deadline_s`, which the test's own patience would not outlive."""

    def work(fed: Federation) -> None:
        with pytest.raises(NotAnswered, match="ZeroDivisionError: a bug of the algorithm") as error:
            fed.mean(LOSS, THETA)
        assert error.value.step == "logistic/1:value"

    async with stage(tmp_path, kinds=("torch",), around=Surroundings(lookup=broken)) as client:
        await in_thread(client, work, deadline_s=10_000.0)


async def test_the_guide_as_it_stands(tmp_path: Path) -> None:
    """docs/autodiff.md; its cohort may be larger than these four devices."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    theta = THETA.clone().requires_grad_()
    async with stage(tmp_path, kinds=("torch",)) as client:
        await asyncio.to_thread(exec, code, {"client": client, "theta": theta})
    exact = oracle(DEVICES)
    true = exact.grad(lambda theta: exact.mean(LOSS, theta))(THETA)
    torch.testing.assert_close(theta.grad, true, rtol=0, atol=1e-5)


async def test_a_device_that_was_started_again_has_no_tape(tmp_path: Path) -> None:
    """It says so and is missing in the derivative, which counts by the crowds' sizes."""
    toy = Loopback.create(tmp_path)
    refusals: list[str] = []
    main = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        listener = toy.listener()
        await stack.enter_async_context(aggregator_of(toy, tmp_path, listener))
        port = listener.port
        for i in range(1, DEVICES):
            agent = agent_of(toy, tmp_path, i, port, "torch", ALLOWED)
            await stack.enter_async_context(agent)
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(agent_of(toy, tmp_path, 0, port, "torch", ALLOWED))

        async def listen(agent: EdgeAgent) -> None:
            async for outcome in agent.outcomes():
                if isinstance(outcome, RoundDeclined):
                    refusals.append(outcome.text)

        async def start_again() -> None:
            await first.aclose()
            agent = agent_of(toy, tmp_path, 0, port, "torch", ALLOWED)
            await stack.enter_async_context(agent)
            listening.append(asyncio.create_task(listen(agent)))
            while not agent.connected:  # noqa: ASYNC110 - an agent does not say when it is there
                await asyncio.sleep(0.01)

        def work(fed: Federation) -> None:
            leaf = THETA.clone().requires_grad_()
            loss = fed.sum(LOSS, leaf)
            assert isinstance(loss, Tensor)
            asyncio.run_coroutine_threadsafe(start_again(), main).result(120)
            loss.backward()
            found.append(leaf.grad)
            assert [each.survivors for each in fed.ledger] == [DEVICES, DEVICES - 1]

        listening: list[asyncio.Task[None]] = []
        found: list[Tensor | None] = []
        link = GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(toy.operator))
        await in_thread(Client(link, toy.operator), work, eager=False, tape_s=600.0)
    assert "started again" in refusals[0]
    others = Federation(
        OracleRounds(CONFIG, SOURCES, [data_of(i) for i in range(1, DEVICES)]), CONFIG, COHORT
    )
    true = others.grad(lambda theta: others.sum(LOSS, theta))(THETA)
    assert isinstance(true, Tensor)
    torch.testing.assert_close(found, [true * DEVICES / (DEVICES - 1)], rtol=0, atol=1e-4)


async def test_a_session_outlives_its_aggregator(tmp_path: Path) -> None:
    """It is stopped between value and derivative, and another one takes its place."""
    toy = Loopback.create(tmp_path)
    listener = toy.listener()
    main = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(aggregator_of(toy, tmp_path, listener))
        port = listener.port
        for i in range(DEVICES):
            agent = agent_of(toy, tmp_path, i, port, "torch", ALLOWED)
            await stack.enter_async_context(agent)

        async def replace() -> None:
            await first.aclose()
            await stack.enter_async_context(aggregator_of(toy, tmp_path, toy.listener(port)))

        def work(fed: Federation) -> None:
            leaf = THETA.clone().requires_grad_()
            loss = fed.mean(LOSS, leaf)
            assert isinstance(loss, Tensor)
            asyncio.run_coroutine_threadsafe(replace(), main).result(120)
            loss.backward()
            found.append(leaf.grad)
            assert [each.step for each in fed.ledger] == [
                "logistic/1:value",
                "logistic/1:gradient:0",
            ]

        found: list[Tensor | None] = []
        link = GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(toy.operator))
        await in_thread(Client(link, toy.operator), work, eager=False)
    exact = oracle(DEVICES)
    true = exact.grad(lambda theta: exact.mean(LOSS, theta))(THETA)
    torch.testing.assert_close(found, [true], rtol=0, atol=1e-5)
