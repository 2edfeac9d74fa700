"""`moments/1` on tables and series: values of unlike scales, each with its own declared range."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.moments import MomentSharing, synthesis
from dreamshare.errors import ConfigError
from dreamshare.learning.data import ArrayData
from tests.algorithms.moments import moments, owned
from tests.algorithms.oracle import run

RANGES = ((0.0, 1.0), (-50.0, 150.0), (1e5, 3e5), (-1e-3, 1e-3))
FORMS = ("pixels", "basis", "dct")


def columns(seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples in [-1, 1], a column each, and their classes."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(90) % 3
    centres = np.random.default_rng(9).uniform(-0.7, 0.7, (3, 4, steps))
    u_NCL = centres[y_N] + rng.normal(0, 0.25, (90, 4, steps))
    return np.clip(u_NCL, -1, 1)[:, :, None, :], y_N


def scaled(u_NCHW: np.ndarray) -> np.ndarray:
    low, high = np.array(RANGES).T[:, :, None, None]
    return (low + (high - low) * (u_NCHW + 1) / 2).astype(np.float32)


@pytest.mark.parametrize("steps", [1, 3], ids=["a table", "a series"])
@pytest.mark.parametrize("form", FORMS)
def test_scales_change_nothing_but_the_scale_of_the_set(form: str, steps: int) -> None:
    parts = [columns(seed, steps) for seed in range(3)]
    common = {
        "shape": (4, 1, steps),
        "form": form,
        "components": 0 if form == "pixels" else 3,
        "warm_up_epochs": 0,
        "fit_steps": 0,
        "images": 200,
    }
    even = moments(**common, low=-1.0, high=1.0)
    uneven = moments(**common, ranges=RANGES)
    plain = [ArrayData(u.astype(np.float32), y, None) for u, y in parts]
    other = [ArrayData(scaled(u), y, None) for u, y in parts]
    one, two = (
        run(MomentSharing(config), owned(data)).done.result
        for config, data in ((even, plain), (uneven, other))
    )
    assert MomentSharing(uneven).gallery_of(two) is None  # a table is no picture
    np.testing.assert_allclose(one["mean"], two["mean"], atol=1e-5)
    apart = one["images"].astype(int) - two["images"].astype(int)
    assert np.abs(apart).max() <= 1, "a grey level"
    made = synthesis.Pictures(two["images"], two["labels"], uneven.space).inputs()
    every = np.concatenate([scaled(u) for u, _ in parts])
    for channel, (low, high) in enumerate(RANGES):
        assert low <= made[:, channel].min() and made[:, channel].max() <= high
        off = made[:, channel].mean() - every[:, channel].mean()
        assert abs(off) < 0.03 * (high - low)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [(RANGES[:3], "3 ranges of 4 channels"), (((1.0, 1.0), *RANGES[1:]), "must lie below")],
)
def test_ranges_that_do_not_fit_are_refused(ranges, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        moments(shape=(4, 1, 1), ranges=ranges)
