"""A federated gradient over a real Mosquitto: agents, aggregator and client all at the broker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import torch

from dreamshare.autodiff import Federation
from dreamshare.client import Client
from dreamshare.transport.ways import link_to, listener_at
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy
from tests.autodiff.federations import oracle
from tests.autodiff.programs import LOSS, data_of, learner_of
from tests.autodiff.test_federation import ALONG, THETA
from tests.integration.test_autodiff import ALLOWED, DEVICES, in_thread
from tests.mosquitto import Broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_a_gradient_and_a_curvature_come_over_a_broker(
    mosquitto: Broker, tmp_path: Path
) -> None:
    def work(fed: Federation) -> None:
        leaf = THETA.clone().requires_grad_()
        fed.mean(LOSS, leaf).backward()  # type: ignore[union-attr]
        product = fed.hvp(lambda theta: fed.mean(LOSS, theta))(THETA, ALONG)
        found.extend((leaf.grad, product))

    found: list[torch.Tensor | None] = []
    broker = mosquitto
    async with AsyncExitStack() as stack:
        store = open_store(f"sqlite:///{tmp_path}/rounds.db")
        listener = listener_at(broker.url, broker.aggregator)
        await stack.enter_async_context(Aggregator([listener], store, broker.aggregator))
        for i in range(DEVICES):
            device = broker.device()
            agent = EdgeAgent(
                link=link_to(broker.url, device),
                learner=learner_of("torch"),
                data=data_of(i),
                algorithms=("autodiff/1",),
                store=FileStore(tmp_path / f"home-{i}"),
                policy=Policy(programs=ALLOWED),
                identity=device,
            )
            await stack.enter_async_context(agent)
        operator = broker.issue(Role.OPERATOR)
        await in_thread(Client(link_to(broker.url, operator), operator), work)
    exact = oracle(DEVICES)

    def true(theta: torch.Tensor) -> torch.Tensor:
        return exact.mean(LOSS, theta)

    slope, product = exact.grad(true)(THETA), exact.hvp(true)(THETA, ALONG)
    torch.testing.assert_close(found, [slope, product], rtol=0, atol=1e-5)
