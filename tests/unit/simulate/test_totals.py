"""The sum over a population's groups does not depend on which group is ready first."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from dreamshare.simulate.population import GroupDone
from dreamshare.simulate.totals import Total

GROUPS = (
    GroupDone(0, 4, 4, {"x": np.array([1.0, 1e16])}, 4.0),
    GroupDone(1, 4, 0, trouble="nobody came"),
    GroupDone(2, 4, 3, {"x": np.array([0.1, 1.0])}, 3.0),
    GroupDone(3, 4, 1, {"x": np.array([0.7, -1e16])}, 1.0),
)


def test_any_order_gives_the_same_bits() -> None:
    """Of all 24 orders: ((4 * 1 + 3 * 0.1) + 1 * 0.7) / 8, in this order of additions."""
    expected = ((4.0 * GROUPS[0].mean["x"] + 3.0 * GROUPS[2].mean["x"]) + GROUPS[3].mean["x"]) / 8.0
    for order in permutations(GROUPS):
        total = Total()
        for group in order:
            total.take(group)
        assert total.weight_sum == 8.0
        assert total.mean()["x"].tobytes() == expected.tobytes()


def test_what_is_added_is_let_go_and_the_rest_is_told() -> None:
    done = Total().take(GROUPS[0])
    assert dict(done.mean) == {}
    assert (done.roster, done.survivors, done.weight_sum) == (4, 4, 4.0)


def test_without_a_sum_there_is_no_weight() -> None:
    total = Total()
    total.take(GroupDone(0, 4, 0, trouble="nobody came"))
    assert total.weight_sum == 0.0
