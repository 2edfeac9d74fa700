"""Dreams as values: starts, server steps, priors, replay."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.payloads.dreams import (
    Replay,
    ServerStep,
    prior_gradient,
    starting_dreams,
    starting_labels,
)


def test_a_start_is_a_function_of_seed_and_cycle():
    start = starting_dreams(3, 1, 200, (1, 4, 4), 0.7)
    np.testing.assert_array_equal(start, starting_dreams(3, 1, 200, (1, 4, 4), 0.7))
    assert start.dtype == np.float32 and start.shape == (200, 1, 4, 4)
    for other in ((3, 2), (4, 1)):
        assert not np.array_equal(start, starting_dreams(*other, 200, (1, 4, 4), 0.7))
    assert start.std() == pytest.approx(0.7, rel=0.05)


def test_labels_go_round():
    assert starting_labels(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_adams_first_step_is_the_rate_against_the_sign():
    """After one step both averages, bias-corrected, are g and g^2: x - r * g / |g|."""
    x = np.zeros((1, 1, 1, 3), np.float32)
    g = np.array([5.0, -0.01, 0.0], np.float32).reshape(x.shape)
    moved, state = ServerStep.start(x).apply(x, g, 0.1, "adam")
    np.testing.assert_allclose(moved.ravel(), [-0.1, 0.1, 0.0], atol=1e-6)
    assert state.taken == 1


def test_adams_second_step_by_hand():
    """g = 1, then 3; betas 0.5 and 0.9. m = 0.5*0.5 + 0.5*3 = 1.75, corrected / (1 - 0.25);
    v = 0.9*0.1 + 0.1*9 = 0.99, corrected / (1 - 0.81). Step: (1.75/0.75) / sqrt(0.99/0.19)."""
    x = np.zeros((1, 1, 1, 1), np.float32)
    state = ServerStep.start(x)
    x, state = state.apply(x, np.full_like(x, 1.0), 0.1, "adam")
    x, state = state.apply(x, np.full_like(x, 3.0), 0.1, "adam")
    expected = -0.1 - 0.1 * (1.75 / 0.75) / np.sqrt(0.99 / 0.19)
    np.testing.assert_allclose(x.ravel(), [expected], rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "avg"])
def test_plain_steps(kind):
    x = np.ones((1, 1, 1, 2), np.float32)
    moved, state = ServerStep.start(x).apply(x, np.full_like(x, 2.0), 0.25, kind)
    np.testing.assert_array_equal(moved, 0.5)
    assert state.taken == 1 and moved.dtype == np.float32


def energy(x: np.ndarray, smoothness: float, norm: float) -> float:
    total = 0.0
    for image in x:
        rows, columns = np.diff(image, axis=1), np.diff(image, axis=2)
        total += smoothness * ((rows**2).mean() + (columns**2).mean()) + norm * (image**2).mean()
    return total


def test_the_priors_gradient_is_the_difference_quotient():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2, 3, 4)).astype(np.float32)
    gradient = prior_gradient(x, 0.7, 0.3)
    for index in ((0, 0, 0, 0), (1, 1, 2, 3), (0, 1, 1, 2)):
        step = np.zeros(x.shape)
        step[index] = 1e-4
        quotient = (energy(x + step, 0.7, 0.3) - energy(x - step, 0.7, 0.3)) / 2e-4
        assert gradient[index] == pytest.approx(quotient, rel=1e-4)


def test_priors_of_flat_and_of_tiny_dreams():
    flat = np.full((1, 1, 4, 4), 0.5, np.float32)
    np.testing.assert_array_equal(prior_gradient(flat, 1.0, 0.0), 0.0)
    np.testing.assert_allclose(prior_gradient(flat[:, :, :1, :1], 1.0, 1.0), 1.0)


def test_replay_keeps_the_newest():
    def part(value: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((count, 1, 1, 1), value, np.float32), np.full((count, 2), 0.5, np.float32)

    replay = Replay(*part(0, 0)).add(*part(1, 3), 4).add(*part(2, 3), 4)
    assert replay.x_BCHW.ravel().tolist() == [1, 2, 2, 2] and len(replay) == 4
    assert len(replay.draw(np.random.default_rng(0), 3)) == 3
    assert sorted(replay.draw(np.random.default_rng(0), 9).x_BCHW.ravel()) == [1, 2, 2, 2]
    with pytest.raises(ConfigError, match="pair up"):
        Replay(part(0, 1)[0], part(0, 2)[1])
