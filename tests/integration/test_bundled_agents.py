"""Agents without a line of their owner's code and without torch, in rounds of every algorithm.

Three processes, each with a bundle and a settings file; their examples are pictures, a table and
arrays. What they share is summed under masks by a real aggregator over gRPC.
"""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.client import Result
from dreamshare.learning.onnx import OnnxLearner
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare_crypto.certificates import Role
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.data_config import DataConfig
from tests.integration.bundles import (
    CLASSES,
    SHAPE,
    small_bundle,
    write_arrays,
    write_pictures,
    write_table,
)
from tests.integration.children import child
from tests.integration.stage import Stage

pytestmark = pytest.mark.integration

COHORT = Cohort(least=3, most=3)
DEADLINES = Deadlines(setup_s=60, collect_s=60, reveal_s=60)
EXAMPLES = 120


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


def data_of(home: Path, number: int) -> DataConfig:
    """Return a table [data] for examples of this device, relative to its settings file."""
    match number:
        case 0:
            write_pictures(home / "photos", EXAMPLES, number)
            return DataConfig(images=Path("photos"))
        case 1:
            columns = write_table(home / "table.csv", EXAMPLES, number)
            names = tuple(f"digit-{each}" for each in range(CLASSES))
            return DataConfig(csv=Path("table.csv"), columns=columns, classes=names)
        case _:
            write_arrays(home / "examples.npz", EXAMPLES, number)
            return DataConfig(arrays=Path("examples.npz"), held_out=0.25)


async def test_codream_fedavg_and_evaluate_without_torch_and_without_code(stage: Stage) -> None:
    bundle = small_bundle()
    aggregator = await stage.aggregator()
    async with AsyncExitStack() as stack:
        agents = []
        for number in range(3):
            home = stage.path / f"device-{number}"
            home.mkdir(mode=0o700)
            stage.federation.folder.issue(Role.DEVICE, f"device-{number}", home / "device.key")
            (home / "net.dream").write_bytes(bundle.to_bytes())
            config = AgentConfig(
                link=f"grpcs://127.0.0.1:{stage.port}",
                algorithms=("codream/1", "evaluate/1", "fedavg/1"),
                learner=LearnerConfig(bundle=Path("net.dream"), memory_mb=256),
                data=data_of(home, number),
            )
            path = home / "agent.toml"
            path.write_text(settings_text(config), encoding="utf-8")
            arguments = ("--verbose", "--json", "--config", str(path))
            log = stack.enter_context(closing(log_file(home)))
            agent = child("tests.integration.torchless", *arguments, stderr=log)
            agents.append(await stack.enter_async_context(agent))
            assert (await agents[-1].event("ready"))["label"] == "small"
        averaging = FedAvgConfig.of_model(OnnxLearner(bundle).parameters(), CLASSES)
        codream = CodreamConfig(
            shape=SHAPE, classes=CLASSES, cycles=1, dreams=20, dream_steps=2, feature_weight=3.0,
            warm_up_epochs=1, fit_steps=10,
        )  # fmt: skip
        found: list[Result] = []
        for algorithm in (
            EvaluateConfig(),
            dataclasses.replace(averaging, rounds=3, fit_steps=30, learning_rate=0.02),
            EvaluateConfig(max_examples=1000),  # another payload: S7 answers each once
            codream,
        ):
            task = await aggregator.submit(algorithm, COHORT, DEADLINES)
            found.append(await task.result())
            assert found[-1].status.secure_aggregation
            assert found[-1].status.abandoned == 0
        before, after = (found[place].metrics["accuracy"] for place in (0, 2))
        assert after > before + 0.3, "it learns what three devices know"
        assert found[3].status.aggregations >= 3
        for agent in agents:
            assert await agent.end(signal.SIGTERM) == 0
        for number in range(3):
            logged = log_of(stage.path / f"device-{number}")
            assert "(dream, cycle 0) is closed" in logged
            for word in ("digit-", "photos", "table.csv", "examples.npz", "accuracy"):
                assert word not in logged, "logs name no data"


def log_file(home: Path) -> BinaryIO:
    return (home / "log").open("wb")


def log_of(home: Path) -> str:
    return (home / "log").read_text(encoding="utf-8")


async def test_the_doctor_needs_no_torch_either(stage: Stage) -> None:
    """What is wrong is named, with what to do; the exit code says how grave it is."""
    await stage.aggregator()
    home = stage.path / "device"
    home.mkdir(mode=0o700)
    stage.federation.folder.issue(Role.DEVICE, "device", home / "device.key")
    (home / "net.dream").write_bytes(small_bundle().to_bytes())
    config = AgentConfig(
        link=f"grpcs://127.0.0.1:{stage.port}",
        learner=LearnerConfig(bundle=Path("net.dream")),
        data=data_of(home, 2),
    )
    path = home / "agent.toml"
    path.write_text(settings_text(config), encoding="utf-8")
    code, found = await examined(path)
    assert code == {"ok": 0, "warning": 1}[found["severity"]]  # warnings are of this machine
    subjects = {each["subject"]: each["severity"] for each in found["findings"]}
    for subject in ("bundle", "data", "learner", "link", "clock", "certificate"):
        assert subjects[subject] == "ok"
    (home / "examples.npz").unlink()
    code, found = await examined(path)
    assert code == 2
    (data,) = (each for each in found["findings"] if each["subject"] == "data")
    assert "there is no file" in data["seen"]
    assert data["advice"]


async def examined(path: Path) -> tuple[int, dict[str, Any]]:
    arguments = ("--doctor", "--json", "--config", str(path))
    async with child("tests.integration.torchless", *arguments) as doctor:
        said = json.loads(await doctor.line())
        return await doctor.process.wait(), said
