"""A custom client: submit a task, follow it, fetch its result, over gRPC with an operator's key.

Run it as it stands; it brings an aggregator and three devices along:

    python examples/custom_client.py
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import nn

from dreamshare import (
    ArrayData,
    Batch,
    Client,
    Cohort,
    EvaluateConfig,
    GrpcLink,
    GrpcListener,
    Identity,
    TlsFiles,
    TorchLearner,
)
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy


async def operate(link: str, key: Path) -> None:
    """What an operator's program does: how well do the devices' models do, all together?"""
    identity = Identity.load(key)
    async with Client(GrpcLink(link, TlsFiles.of(identity)), identity) as client:
        for device in await client.devices():
            print(f"device {device.device.hex()[:8]} computes {', '.join(device.algorithms)}")
        task = await client.submit(EvaluateConfig(), cohort=Cohort(least=3, most=3))
        async for report in client.watch(task):
            print(f"{report.number}  {report.event:<10} {report.status.detail}")
        result = await client.result(task)
        print(f"accuracy of all together: {result.metrics['accuracy']:.2f}")


async def main() -> None:
    """Set the stage, operate, clear it away."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        federation = FederationFolder(home / "federation")
        federation.create()
        identity = Identity.load(federation.aggregator)
        listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
        async with AsyncExitStack() as stage:
            service = Aggregator([listener], open_store("sqlite://"), identity)
            await stage.enter_async_context(service)
            link = f"grpcs://127.0.0.1:{listener.port}"
            for number in range(3):
                await stage.enter_async_context(device(federation, number, link))
            await operate(link, federation.operator)


def device(federation: FederationFolder, number: int, link: str) -> EdgeAgent:
    """Return somebody's device with a model of its own."""
    home = federation.device(f"device-{number}")
    own = federation.issue(Role.DEVICE, home.name, home / "device.key")
    rng = np.random.default_rng(number)
    x = rng.normal(size=(60, 2, 1, 1)).astype(np.float32)
    y = (x[:, 0, 0, 0] > 0).astype(np.int64)
    return EdgeAgent(
        link=GrpcLink(link, TlsFiles.of(own)),
        learner=TorchLearner(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), classes=2),
        data=ArrayData(x[:30], y[:30], Batch(x[30:], y[30:])),
        algorithms=("evaluate/1",),
        store=FileStore(home / "state"),
        policy=Policy(),
        identity=own,
    )


if __name__ == "__main__":
    asyncio.run(main())
