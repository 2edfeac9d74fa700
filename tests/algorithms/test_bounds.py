"""Bounds follow public means; clipped coordinates are counted."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.bounds import Bound, answer, clipped_field, count_clipped
from dreamshare.errors import ConfigError
from dreamshare.updates import Field

FIELD = Field("g", (4,), bound=2.0)


def test_eight_times_the_rms():
    """RMS of (3, 4, 0, 0) = sqrt(25 / 4) = 2.5; 8 * 2.5 = 20."""
    assert Bound(1.0, 100.0).follow(np.array([3.0, 4.0, 0.0, 0.0])).value == 20.0
    assert Bound(1.0, 15.0).follow(np.array([3.0, 4.0, 0.0, 0.0])).value == 15.0
    assert Bound(1.0, 100.0).follow(np.array([3.0, 4.0, 0.0, 0.0]), scale=0.5).value == 10.0


def test_much_clipping_doubles_a_bound():
    small = np.full(4, 0.01)
    assert Bound(6.0, 100.0).follow(small, clipped_share=0.01).value == 12.0
    assert Bound(6.0, 10.0).follow(small, clipped_share=0.01).value == 10.0
    assert Bound(6.0, 100.0).follow(small, clipped_share=0.0).value == pytest.approx(0.08)


def test_zeros_leave_a_positive_bound():
    assert Bound(1.0, 2.0**20).follow(np.zeros(4)).value == 1.0


def test_clipped_coordinates_are_counted_after_the_weight():
    """(5, -3, 2, 0) beyond 2: two; times weight 1/2: (2.5, -1.5, 1, 0): one."""
    arrays = {"g": np.array([5.0, -3.0, 2.0, 0.0])}
    fields = (FIELD, clipped_field((FIELD,)))
    assert count_clipped(arrays, fields) == 2
    assert count_clipped(arrays, fields, weight=1.0, cap=2.0) == 1
    update = answer(arrays, fields, 1.0, 1.0)
    assert float(update.arrays["clipped"]) == 2 and fields[1].bound == 4.0
    assert "clipped" not in answer(arrays, (FIELD,), 1.0, 1.0).arrays


def test_impossible_bounds_are_refused():
    for value, largest in ((0.0, 1.0), (2.0, 1.0), (-1.0, 1.0)):
        with pytest.raises(ConfigError):
            Bound(value, largest)
