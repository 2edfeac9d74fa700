"""GPUs: which one a worker takes, what results say of it, and cells on one where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dreamshare.errors import ConfigError
from dreamshare_cli.bench import nets
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.recipe import DevicePlan
from dreamshare_cli.bench.runner import load_records, run_cells
from dreamshare_cli.bench.work import versions
from tests.unit.bench.recipes import tiny
from tests.unit.bench.test_runner import timeless


def cells(device: str) -> tuple[Cell, ...]:
    return cells_of(tiny(("count = 3\n", f'count = 3\ndevice = "{device}"\n')))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let torch see two GPUs, and return those that were chosen."""
    found: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a {device}")
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


def test_workers_take_their_turn_of_the_gpus(taken: list[int]) -> None:
    for place in range(3):
        nets.own_process("auto", place)
    nets.own_process("cuda", 3)
    assert taken == [0, 1, 0, 1]
    nets.own_process("cpu", 1)
    nets.own_process("cuda:0", 1)
    assert taken == [0, 1, 0, 1]
    assert versions(DevicePlan(device="auto"))["gpu"] == "a cuda"
    assert versions(DevicePlan(device="cuda:1"))["gpu"] == "a cuda:1"
    assert "gpu" not in versions(DevicePlan(device="cpu"))


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cpu", "auto"):
        (cell, *_) = cells(device)
        folder = tmp_path / device
        assert asyncio.run(run_cells([cell], folder, 1, lambda news: None)) == 0
    paths = [next((tmp_path / device / "cells").iterdir()) for device in ("cpu", "auto")]
    cpu, auto = (timeless(path) for path in paths)
    assert auto[1:] == cpu[1:]  # the first line says which cell it is
    assert "gpu" not in str(auto[0])


def test_a_bundle_computes_without_torch_and_so_without_its_devices() -> None:
    with pytest.raises(ConfigError, match="belongs to runtime 'torch'"):
        DevicePlan(runtime="onnx", device="auto")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_several_workers_share_a_gpu(tmp_path: Path) -> None:
    """Two processes beside each other; accuracies are those of a CPU, within a few examples."""
    reached = {}
    for device in ("cpu", "auto"):
        mine = cells(device)
        assert asyncio.run(run_cells(mine, tmp_path / device, 2, lambda news: None)) == 0
        records = [record for _, record in load_records(tmp_path / device, mine)]
        reached[device] = [each for record in records for each in record.end.test]
        assert ("gpu" in records[0].start.versions) == (device == "auto")
    assert reached["auto"] == pytest.approx(reached["cpu"], abs=0.2)
