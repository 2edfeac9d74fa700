"""A recipe's public set that no device held: who names "moments" gets it, with digest and size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.codream import CodreamConfig, forming
from dreamshare.algorithms.consensus import ConsensusConfig
from dreamshare.algorithms.fedh2l import FedH2LConfig
from dreamshare.algorithms.generative import GenerativeConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.public import public_set
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.checking import check_cells
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.drawing import drawn_public, with_drawn
from dreamshare_cli.bench.filling import config_of
from dreamshare_cli.bench.partitions import Dealt, deal
from dreamshare_cli.bench.work import learners_of
from tests.unit.bench.recipes import tiny


def cell(name: str, **config: str | int) -> Cell:
    """Return a cell of an algorithm with these settings, of more examples than `tiny` has."""
    found = cells_of(tiny())[1]
    assert found.algorithm is not None
    algorithm = replace(found.algorithm, name=name, config=json.dumps(config))
    return replace(found, algorithm=algorithm, data=replace(found.data, samples=200))


def filled(asked: Cell) -> tuple[object, Dealt]:
    pool = load_pool(asked.data)
    dealt = deal(pool, asked.data, asked.partition, asked.devices.count, asked.seed)
    dealt = with_drawn(asked, pool, dealt)
    return config_of(asked, pool, dealt.public, learners_of(asked, pool)[0]), dealt


def test_everybody_holds_the_drawn_set_and_the_config_names_it() -> None:
    config, dealt = filled(cell("consensus/1", public_set="moments", inputs=25))
    assert isinstance(config, ConsensusConfig)
    assert (config.inputs, config.public_set) == (25, dealt.public.digest if dealt.public else "")
    for data in dealt.data:
        held = public_set(data, config.public_set, 25)
        assert held.y_N is not None
        assert np.bincount(held.y_N, minlength=10).tolist() == [3] * 5 + [2] * 5
    h2l, _ = filled(cell("fedh2l/1", seed_set="moments", seeds=25))
    assert isinstance(h2l, FedH2LConfig)
    assert h2l.seed_set == config.public_set


def test_no_example_of_a_device_is_in_it() -> None:
    asked = cell("consensus/1", public_set="moments", inputs=500)
    pool = load_pool(asked.data)
    dealt = deal(pool, asked.data, asked.partition, asked.devices.count, asked.seed)
    drawn = drawn_public(pool, dealt.data, 500, asked.seed)
    held = {x.tobytes() for x in pool.train.x_NCHW}
    assert not held & {x.tobytes() for x in drawn.x_NCHW}
    # But what it shows is what they hold: the mean digits are alike.
    means = [x.mean(axis=0) for x in (pool.train.x_NCHW, drawn.x_NCHW)]
    assert float(np.abs(means[0] - means[1]).mean()) < 0.1


def test_dreams_begin_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config, dealt = filled(cell("codream/1", start="moments"))
    assert isinstance(config, CodreamConfig)
    assert dealt.public is not None
    assert forming.start_of(config).digest == config.start_set == dealt.public.digest


def test_a_generator_is_made_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config, _ = filled(cell("generative/1", weights="moments", message="counts"))
    assert isinstance(config, GenerativeConfig)
    assert config.weights.endswith(".npz")


def test_a_check_draws_as_a_run_does_and_pixels_have_no_moments() -> None:
    check_cells([cell("consensus/1", public_set="moments", inputs=20)])
    scenes = cell("consensus/1", public_set="moments", inputs=20)
    scenes = replace(scenes, data=replace(scenes.data, source="digit-scenes", samples=20))
    pool = load_pool(scenes.data)
    dealt = deal(pool, scenes.data, scenes.partition, scenes.devices.count, scenes.seed)
    with pytest.raises(ConfigError, match="one for each pixel"):
        with_drawn(scenes, pool, dealt)


def test_who_does_not_name_it_is_left_alone() -> None:
    asked = cell("codream/1")
    pool = load_pool(asked.data)
    dealt = deal(pool, asked.data, asked.partition, asked.devices.count, asked.seed)
    assert with_drawn(asked, pool, dealt) is dealt
