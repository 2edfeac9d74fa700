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

FIRST = (0, 1, 2, 3)
FORWARDS = ("forward", "mixed")


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


class Leaving:
    """An oracle from which a device is gone, or has been replaced, after the first round."""

    def __init__(self, later: tuple[int, ...], first: tuple[int, ...] = FIRST) -> None:
        self._crowd, self._later = first, later

    def ask(self, question: Question) -> Answer:
        crowd, self._crowd = self._crowd, self._later
        answer = OracleRounds(CONFIG, SOURCES, [data_of(i) for i in crowd]).ask(question)
        return Answer(answer.sums, frozenset(bytes([i]) for i in crowd), 4)


def slope(fed: Federation) -> torch.Tensor:
    bias = B.clone().requires_grad_()
    _, size = fed.sum(BEND, W, bias)
    size.backward()
    assert bias.grad is not None
    return bias.grad


def leaving(later: tuple[int, ...], policy: str, first: tuple[int, ...] = FIRST) -> Federation:
    return Federation(Leaving(later, first), CONFIG, Cohort(least=4, most=4), dropouts=policy)


def slopes(fed: Federation, mode: str) -> torch.Tensor:
    """By five numbers: in forward mode five rounds, of which the first brings the value, too."""
    found = fed.grad(lambda w: fed.sum(BEND, w, B)[1], mode)(W)
    assert isinstance(found, torch.Tensor)
    return found


def slopes_of(crowd: tuple[int, ...]) -> torch.Tensor:
    """What the devices of this crowd give, exactly."""
    return slopes(leaving(crowd, "strict", crowd), "reverse")


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


@pytest.mark.parametrize("mode", FORWARDS)
@pytest.mark.parametrize(
    ("policy", "later"), [("rescale", (0, 1, 2)), ("resample", (0, 1, 2)), ("resample", (0, 1, 5))]
)
def test_forward_modes_rescale_each_tangent_that_came_later(
    mode: str, policy: str, later: tuple[int, ...]
) -> None:
    """The first tangent came with the value, from its crowd; the others count by its size."""
    found = slopes(leaving(later, policy), mode)
    torch.testing.assert_close(found[0], slopes_of(FIRST)[0])
    torch.testing.assert_close(found[1:], slopes_of(later)[1:] * 4 / 3)


@pytest.mark.parametrize("mode", FORWARDS)
@pytest.mark.parametrize(("policy", "later"), [("strict", (0, 1, 2)), ("rescale", (0, 1, 5))])
def test_forward_modes_refuse_the_same_crowds(
    mode: str, policy: str, later: tuple[int, ...]
) -> None:
    with pytest.raises(CrowdChanged, match="missing in its derivative"):
        slopes(leaving(later, policy), mode)


@pytest.mark.parametrize("policy", ["strict", "rescale", "resample"])
def test_what_comes_in_one_message_needs_no_policy(policy: str) -> None:
    """Value and tangent of one message are of one crowd, though a device was missing in it."""

    def size(fed: Federation) -> tuple[torch.Tensor, torch.Tensor]:
        return fed.jvp(lambda w: fed.sum(BEND, w, B)[1])([W], [torch.ones_like(W)])

    few = (0, 1, 3)
    exact = Federation(Leaving(few, few), CONFIG, Cohort(least=4, most=4))
    torch.testing.assert_close(size(leaving((0, 1), policy, few)), size(exact))


@pytest.mark.parametrize("mode", ["reverse", *FORWARDS])
def test_a_value_is_never_summed_again(mode: str) -> None:
    """Over those who are left it would differ by the values of those who left."""
    fed = leaving((0, 1, 2), "rescale")
    before = fed.sum(BEND, W, B)
    slopes(fed, mode)
    rounds = len(fed.ledger)
    torch.testing.assert_close(fed.sum(BEND, W, B), before, rtol=0, atol=0)
    assert len(fed.ledger) == rounds
    assert [each.step for each in fed.ledger].count("curve/2:value") == 1


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


@pytest.mark.parametrize("mode", FORWARDS)
@pytest.mark.parametrize("policy", ["rescale", "resample", "strict"])
def test_a_device_dies_between_two_tangents(mode: str, policy: str) -> None:
    """The same in forward modes, masks on; whoever is left answers all the others."""
    with masked(("torch",) * 5, kills=(Kill(4, 1),), dropouts=policy) as fed:
        if policy == "strict":
            with pytest.raises(CrowdChanged):
                slopes(fed, mode)
            return
        found = slopes(fed, mode)
    assert [each.survivors for each in fed.ledger] == [5, 4, 4, 4, 4]
    everybody = slopes_of((0, 1, 2, 3, 4))
    torch.testing.assert_close(found[0], everybody[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(found[1:], slopes_of(FIRST)[1:] * 5 / 4, rtol=0, atol=2e-4)


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
