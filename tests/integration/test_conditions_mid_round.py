"""Conditions that change while a device computes: it stops soon, declines, and goes on later."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import FitObjective
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.errors import RefusalCode
from dreamshare_edge import (
    Conditions,
    EdgeAgent,
    FileStore,
    ManualConditions,
    Policy,
    Surroundings,
)
from tests.integration.stage import Stage
from tests.integration.toy import ALGORITHMS, Toy, toy_config, toy_data

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class Slow(Toy):
    """Says when it has begun to train, and when it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.ended = threading.Event()

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        try:
            for number, step in enumerate(steps):
                super().fit([step], objective)
                if number == 2:
                    self.begun.set()
        finally:
            self.ended.set()
        return 0.0


async def test_a_change_of_conditions_declines_the_round(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        stage = Stage(tmp_path, stack)
        aggregator = await stage.aggregator()
        await stage.agents(3)
        identity = stage.federation.enrol(Role.DEVICE, "moody")
        conditions = ManualConditions(Conditions(charging=True))
        learner = Slow()
        agent = EdgeAgent(
            link=GrpcLink(f"grpcs://127.0.0.1:{stage.port}", TlsFiles.of(identity)),
            learner=learner,
            data=toy_data(7),
            algorithms=ALGORITHMS,
            store=FileStore(tmp_path / "moody"),
            policy=Policy(on_charger=True),
            identity=identity,
            surroundings=Surroundings(conditions=conditions),
        )
        await stack.enter_async_context(agent)
        config = toy_config(rounds=1)
        values = {name: getattr(config, name) for name in config.__dataclass_fields__}
        endless = type(config)(**{**values, "fit_steps": 1_000_000, "evaluate": False})
        before = learner.parameters()
        task = await aggregator.submit(
            endless, Cohort(least=4, most=4, survivors=3), Deadlines(30, 60, 30)
        )
        await asyncio.to_thread(learner.begun.wait)
        with caplog.at_level(logging.WARNING, "dreamshare_edge"):
            conditions.change(Conditions(charging=False))
            agent.conditions_changed()
            async for outcome in agent.outcomes():
                if isinstance(outcome, RoundDeclined):
                    break
        assert outcome.code is RefusalCode.S6
        assert "sets on_charger and the device is not" in outcome.text
        assert any(outcome.text in record.getMessage() for record in caplog.records)
        await asyncio.to_thread(learner.ended.wait)
        await agent._engine.run(lambda: None)  # the computing thread is free
        after = learner.parameters()
        assert all((before[name] == after[name]).all() for name in before)
        assert agent.connected, "the link went on meanwhile"
        task.cancel()
