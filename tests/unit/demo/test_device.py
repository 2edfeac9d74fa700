"""What an agent of the demo computes with, and its companions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.codream import CodreamConfig, acquiring
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.measures import measure
from dreamshare.learning.programs import EvaluatesPrograms, ProgramCall
from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.device import make_equipment
from dreamshare_cli.demo.device_settings import DeviceSettings
from dreamshare_cli.demo.runtimes import DeviceRuntime
from dreamshare_cli.demo.setting import codream_config
from dreamshare_edge.equipment import Equipment, load_equipment


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch) -> CodreamConfig:
    """A run of few steps, for companions and test alike."""
    short = replace(codream_config(0, 1), warm_up_epochs=1, fit_steps=2)
    monkeypatch.setattr(
        "dreamshare_cli.demo.device.codream_config",
        lambda seed, cycles: replace(short, cycles=cycles),
    )
    return short


def settings(
    folder: Path,
    device: int = 3,
    runtime: DeviceRuntime = DeviceRuntime.TORCH,
    algorithms: AlgorithmChoice = AlgorithmChoice.CODREAM,
) -> DeviceSettings:
    return DeviceSettings(device, 4, 0, 1, folder / "notes.jsonl", runtime, algorithms)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "notes.jsonl").read_text().splitlines()]


def test_the_table_is_read_back(tmp_path: Path) -> None:
    assert DeviceSettings.read(settings(tmp_path).as_table()) == settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "one"),
        ("seed", True),
        ("cycles", 1.5),
        ("notes", 3),
        ("runtime", "tensorflow"),
        ("algorithms", "fedavg"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, name: str, value: str | float) -> None:
    with pytest.raises(ConfigError, match=f"learner.settings.{name}"):
        make_equipment({**settings(tmp_path).as_table(), name: value})


@pytest.mark.parametrize("runtime", DeviceRuntime)
def test_an_agent_finds_it_by_name(tmp_path: Path, runtime: DeviceRuntime) -> None:
    made = load_equipment(
        "dreamshare_cli.demo.device:make_equipment", settings(tmp_path, runtime=runtime).as_table()
    )
    assert isinstance(made, Equipment)
    assert made.label == "MobileNet-like"
    (equipped,) = lines(tmp_path)
    assert equipped["examples"] == len(made.data)
    assert equipped["tested"] == 500
    assert equipped["runtime"] == runtime.value
    assert equipped["parameters"] == 7_226


@pytest.mark.parametrize("runtime", DeviceRuntime)
def test_companions_take_as_many_steps_and_the_net_none_of_theirs(
    tmp_path: Path, config: CodreamConfig, runtime: DeviceRuntime
) -> None:
    equipment = make_equipment(settings(tmp_path, runtime=runtime).as_table())
    learner: Learner = equipment.learner
    acquiring.warm_up(config, learner, equipment.data, np.random.default_rng(5))
    acquiring.acquire_alone(config, learner, equipment.data, np.random.default_rng(6))
    reached = measure(learner, equipment.data.held_out()).accuracy

    twin_folder = tmp_path / "twin"
    twin_folder.mkdir()
    twin = make_equipment(settings(twin_folder, runtime=runtime).as_table())
    plain = twin.learner._learner  # the same net without companions
    acquiring.warm_up(config, plain, twin.data, np.random.default_rng(5))
    acquiring.acquire_alone(config, plain, twin.data, np.random.default_rng(6))
    assert measure(plain, twin.data.held_out()).accuracy == reached

    alone = [(line["kind"], line["cycle"]) for line in lines(tmp_path)[1:]]
    assert alone == [("independent", 0), ("balanced", 0), ("independent", 1), ("balanced", 1)]
    assert lines(twin_folder)[1:] == []


@pytest.mark.parametrize("runtime", DeviceRuntime)
def test_every_algorithm_begins_with_the_first_weights(
    tmp_path: Path, config: CodreamConfig, runtime: DeviceRuntime
) -> None:
    """Companions train beside the last one alone, and its net knows nothing of the others."""
    reached = []
    for algorithms in (AlgorithmChoice.CODREAM, AlgorithmChoice.ALL):
        folder = tmp_path / algorithms
        folder.mkdir()
        equipment = make_equipment(settings(folder, 3, runtime, algorithms).as_table())
        learner, data = equipment.learner, equipment.data
        if algorithms is AlgorithmChoice.ALL:
            for seed in (1, 2):  # what moments fit: a warm-up and a lesson
                acquiring.acquire_alone(config, learner, data, np.random.default_rng(seed))
            assert len(lines(folder)) == 1
        acquiring.warm_up(config, learner, data, np.random.default_rng(5))
        acquiring.acquire_alone(config, learner, data, np.random.default_rng(6))
        reached.append((learner.logits(data.held_out().x_NCHW), lines(folder)[1:]))
    assert np.array_equal(reached[0][0], reached[1][0])
    assert reached[0][1] == reached[1][1]


def test_programs_are_the_learners_affair(tmp_path: Path) -> None:
    """What is asked of it reaches it; the demo's own learners have no program, and say so."""
    learner = make_equipment(settings(tmp_path).as_table()).learner
    assert isinstance(learner, EvaluatesPrograms)
    example = Batch(np.zeros((1, 1, 14, 14), np.float32), np.zeros(1, np.int64))
    with pytest.raises(ConfigError, match="logistic/1"):
        learner.evaluate(ProgramCall("logistic/1", ("value",)), example)


def test_companions_of_a_single_lesson_take_all_their_steps(
    tmp_path: Path, config: CodreamConfig
) -> None:
    only = settings(tmp_path, algorithms=AlgorithmChoice.MOMENTS)
    equipment = make_equipment(replace(only, cycles=2).as_table())
    for seed in (1, 2):
        acquiring.acquire_alone(
            config, equipment.learner, equipment.data, np.random.default_rng(seed)
        )
    assert [(line["kind"], line["cycle"]) for line in lines(tmp_path)[1:]] == [
        ("independent", 0), ("balanced", 0), ("independent", 1), ("independent", 2),
        ("balanced", 1), ("balanced", 2),
    ]  # fmt: skip


def test_a_run_that_goes_on_needs_no_more_companions(tmp_path: Path, config: CodreamConfig) -> None:
    equipment = make_equipment(settings(tmp_path).as_table())
    for _ in range(4):
        acquiring.acquire_alone(config, equipment.learner, equipment.data, np.random.default_rng(0))
    assert len(lines(tmp_path)) == 1 + 2 * 2  # equipped; warm-up and one cycle of two companions
