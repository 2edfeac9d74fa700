"""Embed the edge agent in an application: the application is `photo_app`, the rest is a stage.

Three devices with nets of their own share dreams of handwritten digits. Run it as it stands:

    python examples/embed_agent.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from dreamshare import (
    ArrayData,
    Batch,
    CodreamConfig,
    Cohort,
    GrpcLink,
    GrpcListener,
    Identity,
    TaskOver,
    TlsFiles,
    TorchLearner,
)
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy, sentence_of


async def photo_app(
    name: str, link: str, identity: Identity, photos: ArrayData, home: Path
) -> None:
    """An application with an agent inside: this is all that a device needs."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    agent = EdgeAgent(
        link=GrpcLink(link, TlsFiles.of(identity)),
        learner=TorchLearner(net, classes=10),
        data=photos,
        algorithms=("codream/1", "evaluate/1"),
        store=FileStore(home / "federation"),
        policy=Policy(least_cohort=3, rounds_per_day=400),
        identity=identity,
    )
    async with agent:
        async for outcome in agent.outcomes():
            if name == "anna":
                print(sentence_of(outcome))
            if isinstance(outcome, TaskOver):
                break


async def main() -> None:
    """Play the rest of the world: a federation, an aggregator, other people's devices."""
    digits = load_digits()
    x = (digits.images.astype(np.float32) / 8 - 1)[:, None]
    y = digits.target.astype(np.int64)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        federation = FederationFolder(home / "federation")
        federation.create()
        identity = Identity.load(federation.aggregator)
        listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
        async with Aggregator([listener], open_store("sqlite://"), identity) as aggregator:
            link = f"grpcs://127.0.0.1:{listener.port}"
            apps = []
            for i, name in enumerate(("anna", "ben", "carla")):
                place = home / name
                own = federation.issue(Role.DEVICE, name, place / "key")
                mine = slice(i * 200, (i + 1) * 200)
                photos = ArrayData(x[mine], y[mine], Batch(x[1500:], y[1500:]))
                apps.append(asyncio.create_task(photo_app(name, link, own, photos, place)))
            # Small on purpose; these nets have no BatchNorm, so that term is off.
            config = CodreamConfig(
                shape=(1, 8, 8), classes=10, cycles=1, dreams=20, dream_steps=3, feature_weight=0
            )
            task = await aggregator.submit(config, Cohort(least=3, most=3))
            result = await task.result()
            print(f"{result.status.aggregations} sums, all masked:", end=" ")
            print(result.status.secure_aggregation)
            await asyncio.gather(*apps)


if __name__ == "__main__":
    asyncio.run(main())
