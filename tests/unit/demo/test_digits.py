"""The digits' division and the split among devices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dreamshare.errors import ConfigError
from dreamshare_cli.demo import digits


def test_the_division_is_fixed_and_disjoint():
    parts = digits.load()
    sizes = [len(p.y_N) for p in (parts.train, parts.validation, parts.test)]
    assert sizes == [1_000, 297, 500]
    rows = [p.x_NCHW.tobytes() for p in (digits.load().train, parts.train)]
    assert rows[0] == rows[1]
    raw = np.concatenate([p.x_NCHW for p in (parts.train, parts.validation, parts.test)])
    assert raw.shape == (1_797, 1, 8, 8) and raw.dtype == np.float32
    assert raw.min() == -1.0 and raw.max() == 1.0
    # every image of the source appears once: sums of pixels agree as multisets
    source = load_digits().images.sum(axis=(1, 2)) / 8.0 - 64.0
    np.testing.assert_allclose(np.sort(raw.sum(axis=(1, 2, 3))), np.sort(source), atol=1e-4)


@pytest.mark.parametrize("devices", [3, 4, 16])
def test_every_training_image_belongs_to_one_device(devices):
    y_N = digits.load().train.y_N
    split = digits.dirichlet_split(y_N, devices, np.random.default_rng(0))
    assert sorted(np.concatenate(split)) == list(range(1_000))
    assert min(len(part) for part in split) >= 0.3 * 1_000 / devices


def test_the_split_is_a_function_of_the_generator_and_skewed():
    y_N = digits.load().train.y_N
    one, same, other = (
        digits.dirichlet_split(y_N, 4, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    even = digits.dirichlet_split(y_N, 4, np.random.default_rng(1), skew=1e4)

    def largest_class_share(split: tuple[np.ndarray, ...]) -> float:
        return float(np.mean([np.bincount(y_N[p]).max() / len(p) for p in split]))

    assert largest_class_share(one) > 2 * largest_class_share(even)


def test_devices_hold_their_part_and_share_the_test_images():
    first, again = digits.device_data(0, 4, seed=3), digits.device_data(0, 4, seed=3)
    np.testing.assert_array_equal(first.class_counts(10), again.class_counts(10))
    total = sum(digits.device_data(d, 4, seed=3).class_counts(10) for d in range(4))
    np.testing.assert_array_equal(total, np.bincount(digits.load().train.y_N))
    test = digits.load().test
    np.testing.assert_array_equal(first.held_out().x_NCHW, test.x_NCHW)
    choosing = digits.device_data(0, 4, seed=3, validation=True)
    assert len(choosing.held_out().y_N) == 297


def test_impossible_splits_are_refused():
    y_N = digits.load().train.y_N
    for devices, skew in ((0, 0.3), (4, 0.0)):
        with pytest.raises(ConfigError, match="skew"):
            digits.dirichlet_split(y_N, devices, np.random.default_rng(0), skew)
    with pytest.raises(ConfigError, match="not among"):
        digits.device_data(4, 4, 0)
    with pytest.raises(ConfigError, match="fewer devices or a larger skew"):
        digits.dirichlet_split(y_N[:20], 16, np.random.default_rng(0), 1e-3)
