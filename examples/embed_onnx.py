"""A device without torch, in a plain script: `device` is all of it, the rest is a stage.

Three scripts without an event loop of their own, each a thread here, teach one another handwritten
digits by dreams: a VGG, a ResNet and a MobileNet, whose weights could not be averaged. Their models
are bundles that `dreamshare export` made. Run it as it stands:

    python examples/embed_onnx.py
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits

from dreamshare import (
    ArrayData,
    Batch,
    CodreamConfig,
    Cohort,
    GrpcLink,
    GrpcListener,
    Identity,
    OnnxLearner,
    TaskOver,
    TlsFiles,
)
from dreamshare.learning.onnx import Bundle, Runtime
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.demo.bundles import demo_bundle
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy, sentence_of

DEVICES = {"anna": "VGG-like", "ben": "ResNet-like", "carla": "MobileNet-like"}


def device(name: str, link: str, home: Path, bundle: Bundle, photos: ArrayData) -> None:
    """A whole script: take part until the task is over."""

    async def take_part() -> None:
        identity = Identity.load(home / "key")
        agent = EdgeAgent(
            link=GrpcLink(link, TlsFiles.of(identity)),
            learner=OnnxLearner(bundle, runtime=Runtime(threads=1, memory_mb=256)),
            data=photos,
            algorithms=("codream/1", "evaluate/1"),
            store=FileStore(home / "federation"),
            policy=Policy(rounds_per_day=400),
            identity=identity,
        )
        async with agent:
            async for outcome in agent.outcomes():
                if name == "anna":
                    print(sentence_of(outcome))
                if isinstance(outcome, TaskOver):
                    break

    asyncio.run(take_part())


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
            scripts = []
            for i, (name, architecture) in enumerate(DEVICES.items()):
                federation.issue(Role.DEVICE, name, home / name / "key")
                mine = slice(i * 200, (i + 1) * 200)
                photos = ArrayData(x[mine], y[mine], Batch(x[1500:], y[1500:]))
                given = (name, link, home / name, demo_bundle(architecture), photos)
                scripts.append(threading.Thread(target=device, args=given))
                scripts[-1].start()
            config = CodreamConfig(shape=(1, 8, 8), classes=10, cycles=1, dreams=20, dream_steps=3)
            task = await aggregator.submit(config, Cohort(least=3, most=3))
            result = await task.result()
            print(f"{result.status.aggregations} sums, all masked:", end=" ")
            print(result.status.secure_aggregation)
            for script in scripts:
                await asyncio.to_thread(script.join)


if __name__ == "__main__":
    asyncio.run(main())
