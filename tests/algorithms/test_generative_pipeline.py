"""`generative/1` with a text-to-image pipeline: counted words become prompts, prompts a set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.generative import Generative, synthesis
from dreamshare.errors import ConfigError
from dreamshare.learning.generators import digest_of
from dreamshare_cli.bench.cells import cells_of
from dreamshare_cli.bench.rows import End, Line, Round
from dreamshare_cli.bench.work import run_cell
from tests.algorithms.describing import describers, generative
from tests.algorithms.oracle import run
from tests.algorithms.toy import ToyLearner
from tests.unit.bench.recipes import TINY, tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # what libraries say while they load


def test_a_path_and_a_digest_are_all_that_a_user_with_weights_needs(tmp_path: Path) -> None:
    from tests.unit.learning.generators.tiny_pipeline import build_pipeline

    folder = build_pipeline(tmp_path / "tiny")
    config = generative(
        message="counts",
        captions="attributes",
        generator="diffusers",
        weights=str(folder),
        digest=digest_of(folder),
        names=("shoe", "shirt", "bag"),
        images=6,
        sampling_steps=1,
        fit_steps=1,
    )
    one, other = (run(Generative(config), describers(ToyLearner)).done.result for _ in range(2))
    assert one["images"].shape == (6, 1, 2, 2)
    assert one["labels"].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(one["images"], other["images"])


def test_a_path_in_a_recipe_is_all_that_a_user_with_weights_needs(tmp_path: Path) -> None:
    """A cell of `dreamshare bench`: no digest, no code, nothing but where the weights lie."""
    from tests.unit.learning.generators.tiny_pipeline import build_pipeline

    folder = build_pipeline(tmp_path / "tiny")
    plan = f"""
name = "generative/1"
label = "Pipeline"
[algorithm.config]
message = "counts"
generator = "diffusers"
weights = "{folder}"
images = 10
sampling_steps = 1
warm_up_epochs = 1
fit_steps = 1
"""
    fedavg = TINY[TINY.index('name = "fedavg/1"') :]
    cell = cells_of(tiny((fedavg, plan)))[1]
    found: list[Line] = []
    run_cell(cell, found.append)
    assert isinstance(found[-1], End)
    assert any(isinstance(line, Round) for line in found)


def test_without_the_libraries_the_need_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = generative(message="counts", generator="diffusers", weights="a", digest="0" * 64)
    monkeypatch.setattr(synthesis, "DIFFUSION", "dreamshare.learning.torch.absent")
    with pytest.raises(ConfigError, match=r"pip install dreamshare\[diffusers\]"):
        synthesis.opened(config)
