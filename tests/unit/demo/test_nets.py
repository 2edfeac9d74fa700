"""The demo's four architectures."""

from __future__ import annotations

import pytest
import torch

from dreamshare.errors import ConfigError
from dreamshare.learning.torch import TorchLearner
from dreamshare_cli.demo import nets
from dreamshare_cli.demo.first_weights import parameter_count, shapes_of
from dreamshare_cli.demo.setting import ARCHITECTURES, architecture_of


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_net_is_a_function_of_its_seed_and_leaves_the_global_generator_alone(architecture):
    state = torch.random.get_rng_state()
    one, same, other = (nets.build(architecture, seed) for seed in (1, 1, 2))
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert one(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in one.modules())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_two_architectures_could_average_their_weights():
    layouts = {
        tuple(tuple(p.shape) for p in nets.build(name, 0).parameters()) for name in ARCHITECTURES
    }
    assert len(layouts) == len(ARCHITECTURES) == 4


def test_devices_take_the_architectures_in_turn():
    assert [architecture_of(d) for d in (0, 3, 4)] == [
        "VGG-like",
        "MobileNet-like",
        "VGG-like",
    ]
    with pytest.raises(ConfigError, match="VGG-like, ResNet-like"):
        nets.build("Transformer", 0)


def test_sizes():
    for name in ARCHITECTURES:
        net = nets.build(name, 0)
        count = sum(p.numel() for p in net.parameters())
        assert 5_000 < count < 100_000
        # what a report says, counted from names and shapes, is what torch would train
        assert parameter_count(shapes_of(TorchLearner(net, classes=10))) == count
