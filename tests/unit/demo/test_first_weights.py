"""The weights that both runtimes start from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.first_weights import first_weights, parameter_count

SHAPES = {
    "body.0.weight": (64, 32, 3, 3),
    "depthwise.weight": (512, 1, 3, 3),
    "norm.weight": (64,),
    "norm.bias": (64,),
    "norm.running_mean": (64,),
    "norm.running_var": (64,),
    "head.weight": (100, 200),
    "head.bias": (100,),
}


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("body.0.weight", math.sqrt(2 / (64 * 9))),
        ("depthwise.weight", math.sqrt(2 / (512 * 9))),  # groups do not enter torch's fan-out
        ("head.weight", 0.05),
    ],
)
def test_normal_arrays_have_mean_0_and_the_law_s_deviation(name: str, deviation: float) -> None:
    drawn = np.stack([first_weights(SHAPES, seed)[name] for seed in range(10)]).astype(np.float64)
    # standard errors: s / sqrt(n) of the mean, s / sqrt(2 n) of the deviation, n >= 46,080
    assert abs(drawn.mean()) < 5 * deviation / math.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * drawn.size))
    kurtosis = ((drawn / drawn.std()) ** 4).mean()
    assert kurtosis == pytest.approx(3.0, abs=5 * math.sqrt(24 / drawn.size))


def test_batch_norm_starts_as_the_identity_and_biases_at_0() -> None:
    drawn = first_weights(SHAPES, 0)
    for name in ("norm.weight", "norm.running_var"):
        assert (drawn[name] == 1).all()
    for name in ("norm.bias", "norm.running_mean", "head.bias"):
        assert (drawn[name] == 0).all()
    assert all(array.dtype == np.float32 for array in drawn.values())
    assert {name: array.shape for name, array in drawn.items()} == SHAPES


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_names() -> None:
    turned = dict(reversed(SHAPES.items()))
    one, same, other = first_weights(SHAPES, 1), first_weights(turned, 1), first_weights(SHAPES, 2)
    assert all(np.array_equal(one[name], same[name]) for name in SHAPES)
    assert not np.array_equal(one["head.weight"], other["head.weight"])


def test_an_array_of_no_known_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="cell.weight"):
        first_weights({"cell.weight": (3, 3, 3)}, 0)


def test_running_statistics_are_no_parameters() -> None:
    assert parameter_count(SHAPES) == 64 * 32 * 9 + 512 * 9 + 64 + 64 + 100 * 200 + 100
