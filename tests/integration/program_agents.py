"""Agents that answer programs, each a process of its own: the factories that their settings name.

Rules: with a bundle nothing here imports torch, so that an agent of onnxruntime has none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np

from dreamshare.client import Client
from dreamshare.learning.base import Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.onnx import OnnxLearner
from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare.settings import Scalar, settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.certificates import Role
from dreamshare_edge import Equipment, Policy
from dreamshare_edge.config import AgentConfig, LearnerConfig
from tests.integration.children import child
from tests.integration.toy import Loopback


def make_equipment(settings: Mapping[str, Scalar]) -> Equipment:
    """Return the learner of a bundle, or one of torch, with the examples of a file."""
    with np.load(str(settings["examples"])) as arrays:
        data = ArrayData(arrays["x"], arrays["y"])
    bundle = str(settings.get("bundle", ""))
    learner: Learner
    if bundle:
        learner = OnnxLearner(read_bundle(bundle))
    else:
        from tests.autodiff.programs import learner_of

        learner = learner_of("torch")
    return Equipment(learner, data, label="programs")


@asynccontextmanager
async def processes(
    path: Path, allowed: tuple[str, ...], data: Sequence[ArrayData], bundle: Path | None
) -> AsyncIterator[Client]:
    """An aggregator and a process for each of `data`; yields a client that is not opened yet.

    The first agent has torch, the others the bundle where there is one.
    """
    toy = Loopback.create(path)
    async with AsyncExitStack() as stack:
        listener = toy.listener()
        store = open_store(f"sqlite:///{path}/rounds.db")
        await stack.enter_async_context(Aggregator([listener], store, toy.aggregator))
        for i, each in enumerate(data):
            home = path / f"agent-{i}"
            home.mkdir()
            np.savez(home / "examples.npz", x=each._x, y=each._y)
            identity = toy.enrol(Role.DEVICE, f"agent-{i}")
            identity.save(home / "device.key")
            settings: dict[str, Scalar] = {"examples": str(home / "examples.npz")}
            if bundle is not None and i:
                settings["bundle"] = str(bundle)
            factory = f"{__name__}:{make_equipment.__name__}"
            config = AgentConfig(
                link=f"grpcs://127.0.0.1:{listener.port}",
                algorithms=("autodiff/1",),
                conditions="none",
                anchor_folder=home,
                learner=LearnerConfig(factory, settings),
                policy=Policy(programs=allowed),
            )
            (home / "agent.toml").write_text(settings_text(config))
            arguments = ("--json", "--config", str(home / "agent.toml"))
            agent = await stack.enter_async_context(child("dreamshare_edge", *arguments))
            await agent.event("ready")
        link = GrpcLink(f"grpcs://127.0.0.1:{listener.port}", TlsFiles.of(toy.operator))
        yield Client(link, toy.operator)
