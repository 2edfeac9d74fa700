"""Run the aggregator inside a program of yours, on a database that outlives it.

The service is stopped in the middle of a task and started again: the task goes on from its last
stored sum. Run it as it stands:

    python examples/run_aggregator.py
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import nn

from dreamshare import (
    ArrayData,
    Batch,
    Cohort,
    Deadlines,
    FedAvgConfig,
    GrpcLink,
    GrpcListener,
    Identity,
    TaskReport,
    TlsFiles,
    TorchLearner,
)
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy

DEVICES = 4  # the smallest cohort that survives a dropout


def new_learner() -> TorchLearner:
    """Return one linear layer, the same on every device."""
    return TorchLearner(nn.Sequential(nn.Flatten(), nn.Linear(2, 3)), classes=3)


def show(report: TaskReport) -> None:
    """Print what an operator sees."""
    print(f"{report.number:3}  {report.event:<10} {report.status.detail}")


def aggregator(home: Path, port: int) -> tuple[Aggregator, GrpcListener]:
    """Return the service: identity, listener, database."""
    identity = Identity.load(home / "federation" / "aggregator.key")
    listener = GrpcListener(f"127.0.0.1:{port}", TlsFiles.of(identity))
    store = open_store(f"sqlite:///{home / 'rounds.db'}")
    return Aggregator([listener], store, identity, watch=show), listener


async def main() -> None:
    """Start, submit, stop, start again, collect."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        federation = FederationFolder(home / "federation")
        federation.create()
        config = FedAvgConfig.of_model(new_learner().parameters(), classes=3)
        config = replace(config, rounds=8, weighting="uniform")
        async with AsyncExitStack() as devices:
            service, listener = aggregator(home, port=0)
            async with service:
                port = listener.port
                for i in range(DEVICES):
                    await devices.enter_async_context(device(federation, i, port))
                cohort = Cohort(least=DEVICES, most=DEVICES)
                task = await service.submit(config, cohort, Deadlines(setup_s=30, collect_s=30))
                async for report in task.reports():
                    if report.status.aggregations == 3:
                        break
            print("---  stopped in the middle; starting again")
            service, _ = aggregator(home, port)
            async with service:
                result = await service.task(task.id).result()
        print(f"{result.status.aggregations} sums; all masked: {result.status.secure_aggregation}")


def device(federation: FederationFolder, number: int, port: int) -> EdgeAgent:
    """Return somebody's device, which has points around three centres."""
    home = federation.device(f"device-{number}")
    own = federation.issue(Role.DEVICE, home.name, home / "device.key")
    rng = np.random.default_rng(number)
    y = rng.integers(0, 3, 90)
    centres = np.array([[2, 0], [-1, 2], [-1, -2]])
    x = (centres[y] + rng.normal(size=(90, 2)) / 2).astype(np.float32).reshape(90, 2, 1, 1)
    return EdgeAgent(
        link=GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(own)),
        learner=new_learner(),
        data=ArrayData(x[:60], y[:60], Batch(x[60:], y[60:])),
        algorithms=("fedavg/1",),
        store=FileStore(home / "state"),
        policy=Policy(),
        identity=own,
    )


if __name__ == "__main__":
    asyncio.run(main())
