"""Scenes in an experiment: labels of pixels from the deal to the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare_cli.bench import nets
from dreamshare_cli.bench.cells import cells_of
from dreamshare_cli.bench.checking import check_cells
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.partitions import deal
from dreamshare_cli.bench.recipe import DataPlan, Partition, Recipe, parse_recipe
from dreamshare_cli.bench.rows import DEVICES_IOU, STUDENT_IOU, End
from dreamshare_cli.bench.scene_nets import SCENE_NETS
from dreamshare_cli.bench.work import run_cell

PLAN = DataPlan("digit-scenes", samples=40, validation=60, test=50)
SKEWED = Partition("skewed", "dirichlet", alpha=0.3)
TINY = """
name = "scenes-tiny"
about = "A teacher, a student, pixels."
seeds = [0]
rounds = 1

[data]
source = "digit-scenes"
samples = 40
validation = 40
test = 30

[[partition]]
name = "iid"
kind = "iid"

[devices]
count = 3
architectures = ["UNet-like", "FCN-like", "SegNet-like"]

[student]
architecture = "DeepLab-like"
steps = 2

[schedule]
warm_up_epochs = 1
fit_steps = 1

[[baseline]]
kind = "label histogram only"

[[algorithm]]
name = "fediod/1"
[algorithm.config]
warm_up_epochs = 1
generator_steps = 1
labels = 1
batch = 4
generator_width = 2
student_width = 2
student_steps = 2
evaluate = "end"
"""


def tiny(*changes: tuple[str, str]) -> Recipe:
    text = TINY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_recipe(text)


def test_digits_become_scenes_of_two_with_eleven_classes() -> None:
    pool = load_pool(PLAN)
    assert (pool.shape, pool.labels, pool.pixels) == ((1, 12, 12), 11, True)
    dealt = deal(pool, PLAN, SKEWED, 4, seed=0)
    assert len(dealt.pooled) == sum(len(data) for data in dealt.data)
    assert 4 * 20 - 4 <= len(dealt.pooled) <= 4 * 20
    batch = next(dealt.data[0].batches(np.random.default_rng(0), 8))
    assert batch.x_NCHW.shape == (8, 1, 12, 12) and batch.y_N.shape == (8, 12, 12)
    test = dealt.test["plain"]
    assert len(test.x_NCHW) == 25 and set(np.unique(test.y_N)) == set(range(11))


def test_what_is_measured_on_does_not_depend_on_the_deal_and_a_deal_is_its_seeds() -> None:
    pool = load_pool(PLAN)
    one, same, other = (deal(pool, PLAN, SKEWED, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.test["plain"].x_NCHW, other.test["plain"].x_NCHW)
    counts = [[data.class_counts(11).tolist() for data in each.data] for each in (one, same, other)]
    assert counts[0] == counts[1] != counts[2]


@pytest.mark.parametrize("change", [{"public": 5}, {"domains": ("inverted",)}])
def test_what_does_not_go_with_labels_of_pixels_is_refused(change: dict[str, object]) -> None:
    plan = replace(PLAN, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="labels of images, not of pixels"):
        deal(load_pool(PLAN), plan, SKEWED, 4, seed=0)


def test_a_pool_of_ones_own_may_have_labels_of_pixels() -> None:
    x = np.zeros((90, 1, 4, 4), np.float32)
    y = np.zeros((90, 4, 4), np.int64)
    pool = Pool(Batch(x, y), Batch(x[:6], y[:6]), Batch(x[:6], y[:6]), 2, -1.0, 1.0)
    assert (pool.shape, pool.labels, pool.pixels) == ((1, 4, 4), 2, True)
    plan = DataPlan("x:y", samples=20)
    dealt = deal(pool, plan, Partition("iid", "iid"), 4, seed=0)
    assert dealt.data[0].class_counts(2).tolist() == [20 * 16, 0]
    with pytest.raises(ConfigError, match="deals by class"):
        deal(pool, plan, SKEWED, 4, seed=0)
    with pytest.raises(ConfigError, match="labels of another kind"):
        Pool(Batch(x, y), Batch(x[:6], y[:6, 0, 0]), Batch(x[:6], y[:6]), 2, -1.0, 1.0)


@pytest.mark.parametrize("name", SCENE_NETS)
def test_every_net_labels_every_pixel_and_has_statistics(name: str) -> None:
    net = nets.build(name, (1, 12, 20), 11, 3).eval()
    assert net(torch.zeros(2, 1, 12, 20)).shape == (2, 11, 12, 20)
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules())
    state, same = net.state_dict(), nets.build(name, (1, 12, 20), 11, 3).state_dict()
    assert all(torch.equal(state[key], same[key]) for key in state)
    with pytest.raises(ConfigError, match="does not take inputs"):
        nets.build(name, (1, 11, 12), 11, 3)


def test_a_cell_of_each_kind_tells_overlaps() -> None:
    for cell in cells_of(tiny()):
        lines: list[object] = []
        run_cell(cell, lines.append)
        end = lines[-1]
        assert isinstance(end, End)
        assert 0 < end.metrics[DEVICES_IOU] < 1 and len(end.test) == 3
        federated = cell.algorithm is not None
        assert (STUDENT_IOU in end.metrics) == federated == ("mean_iou" in end.metrics)
        assert (end.student is not None) == federated


def test_nets_of_images_are_refused_before_anything_runs() -> None:
    recipe = tiny(('["UNet-like", "FCN-like", "SegNet-like"]', '["VGG-like"]'))
    with pytest.raises(ConfigError, match="need a model that labels pixels"):
        check_cells(cells_of(recipe))
