"""Examples in memory: passes, batches, counts, what is held out."""

from __future__ import annotations

from itertools import chain, islice

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData


def numbered(count: int) -> ArrayData:
    x = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)
    return ArrayData(x, np.arange(count) % 3)


def seen(data: ArrayData, size: int, batches: int, seed: int = 0) -> list[list[int]]:
    drawn = islice(data.batches(np.random.default_rng(seed), size), batches)
    return [batch.x_NCHW.ravel().astype(int).tolist() for batch in drawn]


def test_a_pass_visits_everything_once():
    batches = seen(numbered(10), 4, 6)
    assert [len(b) for b in batches] == [4, 4, 2, 4, 4, 2]
    assert sorted(chain(*batches[:3])) == list(range(10))
    assert sorted(chain(*batches[3:])) == list(range(10))
    assert batches[:3] != batches[3:]


def test_the_order_comes_from_the_generator():
    assert seen(numbered(10), 4, 6, seed=1) == seen(numbered(10), 4, 6, seed=1)
    assert seen(numbered(10), 4, 6, seed=1) != seen(numbered(10), 4, 6, seed=2)


def test_a_single_left_over_is_left_out_unless_it_is_all():
    assert [len(b) for b in seen(numbered(9), 4, 4)] == [4, 4, 4, 4]
    assert [len(b) for b in seen(numbered(1), 4, 2)] == [1, 1]
    assert [len(b) for b in seen(numbered(3), 1, 3)] == [1, 1, 1]


def test_inputs_and_labels_go_together():
    for batch in islice(numbered(10).batches(np.random.default_rng(0), 4), 3):
        np.testing.assert_array_equal(batch.x_NCHW.ravel() % 3, batch.y_N)


def test_counts():
    np.testing.assert_array_equal(numbered(10).class_counts(5), [4, 3, 3, 0, 0])
    with pytest.raises(ConfigError, match="2 classes"):
        numbered(10).class_counts(2)


def test_held_out_examples():
    x, y = np.zeros((3, 1, 1, 1), np.float32), np.array([0, 1, 2])
    assert numbered(2).held_out().x_NCHW.shape == (0, 1, 1, 1)
    assert ArrayData(x, y, Batch(x[:2], y[:2])).held_out().first(1).y_N.tolist() == [0]


def test_refusals():
    x = np.zeros((2, 1, 1, 1), np.float32)
    for wrong in (
        lambda: ArrayData(x, np.array([0])),
        lambda: ArrayData(x[:0], np.array([], np.int64)),
        lambda: ArrayData(x * np.nan, np.array([0, 1])),
        lambda: ArrayData(x, np.array([0, -1])),
        lambda: ArrayData(x, np.array([0, 1]), Batch(x)),
        lambda: next(numbered(2).batches(np.random.default_rng(0), 0)),
    ):
        with pytest.raises(ConfigError):
            wrong()
