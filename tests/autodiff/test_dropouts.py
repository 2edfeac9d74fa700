"""Devices that leave between a value and its derivative; bounds that are too small."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from dreamshare.algorithms.base import Question
from dreamshare.autodiff import Answer, Clipped, CrowdChanged, Federation, OracleRounds
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import Kill
from dreamshare.updates import Array
from tests.autodiff.federations import CONFIG, masked, oracle
from tests.autodiff.programs import BEND, SOURCES, data_of
from tests.autodiff.test_federation import B, W


class Leaving:
    """An oracle from which a device is gone, or has been replaced, after the first round."""

    def __init__(self, later: tuple[int, ...]) -> None:
        self._crowds = [(0, 1, 2, 3), later]

    def ask(self, question: Question) -> Answer:
        crowd = self._crowds.pop(0)
        answer = OracleRounds(CONFIG, SOURCES, [data_of(i) for i in crowd]).ask(question)
        return Answer(answer.sums, frozenset(bytes([i]) for i in crowd), 4)


def slope(fed: Federation) -> torch.Tensor:
    bias = B.clone().requires_grad_()
    _, size = fed.sum(BEND, W, bias)
    size.backward()
    assert bias.grad is not None
    return bias.grad


def leaving(later: tuple[int, ...], policy: str) -> Federation:
    return Federation(Leaving(later), CONFIG, Cohort(least=4, most=4), dropouts=policy)


def test_rescale_takes_the_crowd_of_the_value_as_measure() -> None:
    found = slope(leaving((0, 1, 2), "rescale"))
    torch.testing.assert_close(found, slope(oracle(3)) * 4 / 3)


def test_resample_takes_any_crowd() -> None:
    assert torch.isfinite(slope(leaving((0, 1, 5), "resample")))


@pytest.mark.parametrize(
    ("policy", "later"), [("strict", (0, 1, 2)), ("strict", (0, 1, 2, 5)), ("rescale", (0, 1, 5))]
)
def test_another_crowd_is_an_error_inside_backward(policy: str, later: tuple[int, ...]) -> None:
    with pytest.raises(CrowdChanged, match="missing in its derivative"):
        slope(leaving(later, policy))


def test_restart_on_survivors_is_refused() -> None:
    with pytest.raises(ConfigError, match="refused: a value summed again"):
        oracle(dropouts="restart")


@pytest.mark.parametrize(("policy", "holds"), [("rescale", True), ("strict", False)])
def test_a_device_dies_between_value_and_derivative(policy: str, holds: bool) -> None:
    """Over the real machines: the fifth device dies when it is asked for its second answer."""
    with masked(("torch",) * 5, kills=(Kill(4, 1),), dropouts=policy) as fed:
        if not holds:
            with pytest.raises(CrowdChanged):
                slope(fed)
            return
        found = slope(fed)
    assert [each.survivors for each in fed.ledger] == [5, 4]
    torch.testing.assert_close(found, slope(oracle(4)) * 5 / 4, rtol=0, atol=2e-4)


Change = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def test_clipped_sums_are_refused_unless_they_are_taken() -> None:
    class Tight(OracleRounds):
        def ask(self, question: Question) -> Answer:
            answer = super().ask(question)
            return Answer({**answer.sums, "clipped": np.array(2.0)}, answer.survivors, 4)

    rounds = Tight(CONFIG, SOURCES, [data_of(i) for i in range(4)])
    cohort = Cohort(least=4, most=4)
    with pytest.raises(Clipped, match="2 devices had to clip"):
        Federation(rounds, CONFIG, cohort).sum(BEND, W, B)
    assert Federation(rounds, CONFIG, cohort, clipped="take").sum(BEND, W, B)
