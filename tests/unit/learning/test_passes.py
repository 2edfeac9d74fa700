"""Own examples one class at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.data import ArrayData
from dreamshare.learning.passes import ByClass


def data(counts: tuple[int, ...]) -> ArrayData:
    """Examples whose only value says which one it is."""
    y_N = np.repeat(np.arange(len(counts)), counts)
    x_NCHW = np.arange(len(y_N), dtype=np.float32).reshape(-1, 1, 1, 1)
    return ArrayData(x_NCHW, y_N)


def test_examples_of_a_class_come_about_equally_often() -> None:
    own = ByClass(data((4, 40, 6)), np.random.default_rng(0), 8, 3)
    taken = [own.take(2) for _ in range(600)]
    seen = Counter(int(x.item()) for x in taken if x is not None)
    assert set(seen) == set(range(44, 50))
    assert max(seen.values()) <= 2 * min(seen.values())


def test_a_class_that_is_not_there_is_none_and_the_others_go_on() -> None:
    own = ByClass(data((5, 0, 7)), np.random.default_rng(0), 4, 3)
    assert own.take(1) is None
    assert all(own.take(label) is not None for label in (0, 2) * 30)


def test_a_class_that_the_task_does_not_know_is_an_error() -> None:
    own = ByClass(data((5, 5)), np.random.default_rng(0), 10, 1)
    with pytest.raises(ConfigError, match="a label is 1, but there are 1 classes"):
        own.take(0)
