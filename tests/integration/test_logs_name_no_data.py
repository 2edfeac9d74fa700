"""What an agent logs when data fail in the middle of a task: which error, not its words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy, Surroundings
from tests.integration.stage import Stage
from tests.integration.toy import ALGORITHMS, Toy, toy_config, toy_data

pytestmark = pytest.mark.integration

SECRET = "asthma/anna-7.jpg"


class Torn(ArrayData):
    """Examples of which one cannot be read any more."""

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        raise ConfigError(f"the picture {SECRET} cannot be read")


def torn() -> Torn:
    whole = toy_data(7)
    batch = next(whole.batches(np.random.default_rng(0), 20))
    assert batch.y_N is not None
    return Torn(batch.x_NCHW, batch.y_N, whole.held_out())


async def test_an_error_of_the_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with AsyncExitStack() as stack:
        stage = Stage(tmp_path, stack)
        aggregator = await stage.aggregator()
        await stage.agents(3)
        identity = stage.federation.enrol(Role.DEVICE, "torn")
        agent = EdgeAgent(
            link=GrpcLink(f"grpcs://127.0.0.1:{stage.port}", TlsFiles.of(identity)),
            learner=Toy(),
            data=torn(),
            algorithms=ALGORITHMS,
            store=FileStore(tmp_path / "torn"),
            policy=Policy(),
            identity=identity,
            surroundings=Surroundings(report=tmp_path / "report.jsonl"),
        )
        await stack.enter_async_context(agent)
        cohort = Cohort(least=4, most=4, survivors=3)
        task = await aggregator.submit(toy_config(rounds=1), cohort, Deadlines(30, 60, 30))
        async for outcome in agent.outcomes():
            if isinstance(outcome, RoundDeclined):
                break
        assert outcome.private
        assert SECRET in outcome.text, "the app is told"
        assert (await task.result()).status.secure_aggregation, "the others go on"
    told = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert any(SECRET in line.get("text", "") for line in told), "the device's own report has it"
    logged = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "ConfigError of the learner or the data" in logged
    assert SECRET not in logged
