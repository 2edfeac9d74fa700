"""A device that hosts the relay, the aggregator beside its own agent: `fedh2l/1` over gRPC."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from dreamshare.learning.measures import measure
from dreamshare.learning.public import SharingData
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_aggregator.capture import read_capture
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy
from tests.algorithms.sharing import COUNTS, fedh2l, seeds
from tests.algorithms.toy import ToyLearner, toy_data
from tests.integration.toy import Loopback

pytestmark = pytest.mark.integration

DEVICES = 4


def device(federation: Loopback, number: int, port: int) -> tuple[EdgeAgent, ToyLearner]:
    """Return one device's agent, with the seed set that all of them hold, and its learner."""
    own = federation.enrol(Role.DEVICE, f"device-{number}")
    learner = ToyLearner(number)
    agent = EdgeAgent(
        link=GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(own)),
        learner=learner,
        data=SharingData(toy_data(number, COUNTS[number % 3]), [seeds()]),
        algorithms=("fedh2l/1",),
        store=FileStore(federation.folder.folder / f"home-{number}"),
        policy=Policy(),
        identity=own,
    )
    return agent, learner


async def test_a_device_relays_for_the_others_and_takes_part_itself(tmp_path: Path) -> None:
    federation = Loopback.create(tmp_path)
    relay = federation.enrol(Role.AGGREGATOR, "relay of device 0")
    captured = tmp_path / "captured.bin"
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(relay))
    store = open_store(f"sqlite:///{tmp_path / 'rounds.db'}")
    config = fedh2l(rounds=2, evaluate="end", tag_slots=128)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            Aggregator([listener], store, relay, Surroundings(capture=captured))
        )
        learners = []
        for number in range(DEVICES):  # number 0 runs in the host's own process, as all do here
            agent, learner = device(federation, number, listener.port)
            await stack.enter_async_context(agent)
            learners.append(learner)
        task = await service.submit(
            config, Cohort(DEVICES, DEVICES), Deadlines(setup_s=30, collect_s=30, reveal_s=30)
        )
        result = await task.result()
    assert result.status.phase is TaskPhase.DONE, result.status.detail
    assert result.status.secure_aggregation
    assert result.status.aggregations == 3  # two answers, one evaluation
    assert result.metrics["accuracy"] > 0.5  # chance is 1/3
    assert result.arrays["survivors"].tolist() == [DEVICES]
    held_out = toy_data(0).held_out()
    assert all(measure(one, held_out).accuracy > 0.5 for one in learners)
    seen = b"".join(arrived.packet for arrived in read_capture(captured))
    assert seeds().x_NCHW.tobytes()[:64] not in seen
    assert np.isfinite(result.metrics["loss"])
