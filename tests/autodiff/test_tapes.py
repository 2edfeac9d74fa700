"""What devices keep of a value for its derivatives: fewer bytes, the same numbers, and an end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamshare.algorithms.autodiff import Autodiff, AutodiffConfig
from dreamshare.algorithms.autodiff.requests import TAPE, taped_of, tensors_of
from dreamshare.algorithms.base import Ask, Question
from dreamshare.autodiff import Federation, OracleRounds
from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare.learning.programs import ProgramCall, Wanted
from dreamshare.learning.tape import Tape
from dreamshare.protocol.messages import Cohort
from dreamshare.updates import PublicArray
from tests.autodiff.federations import CONFIG, masked, oracle
from tests.autodiff.programs import BEND, LOSS, SOURCES, TERMS, data_of, learner_of
from tests.autodiff.test_federation import ALONG, THETA, B, W, objective

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

TAPE_S = 600.0
TAPED = replace(CONFIG, tape_s=TAPE_S)
GRADIENT = Wanted("logistic/1", ("gradient",), 0)
VALUE = Wanted("logistic/1", ("value",))


# ---- a session -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("torch",) * 4, ("torch", "onnx", "torch", "onnx")])
def test_derivatives_are_the_same_and_bring_no_arguments(kinds: tuple[str, ...]) -> None:
    """First and second derivatives of a computation of two sums, masks on, against none of it."""

    def both(fed: Federation) -> tuple[torch.Tensor, ...]:
        slopes = fed.grad(lambda w, b: objective(fed, w, b))(W, B)
        return (*slopes, fed.hvp(lambda theta: fed.mean(LOSS, theta))(THETA, ALONG))

    with masked(kinds, config=TAPED) as fed:
        said = fed.explain(lambda *_: both(fed))
        found = both(fed)
        made = fed.ledger
    torch.testing.assert_close(found, both(oracle()), rtol=0, atol=2e-3)
    assert [(e.step, e.down, e.wire) for e in made] == [
        (e.step, e.down, e.wire) for e in said.rounds
    ]
    assert "the arguments of values, for 600 s" in str(said)
    down = {each.step: each.down for each in made}
    mean, size = 5 * 8, 8  # cotangents of curve/2's results; the arguments are w and b
    assert down["curve/2:gradient:2"] == 32 + mean + size
    assert down["logistic/1:product:0"] == 32 + 8 + 5 * 8


def test_after_half_the_time_arguments_travel_again() -> None:
    """Before devices forget them: a request may be under way for long."""
    clock = ManualClock()

    def slope(fed: Federation, w: torch.Tensor) -> int:
        bias = B.clone().requires_grad_()
        _, size = fed.sum(BEND, w, bias)
        clock.advance_to(clock.now() + late)
        (found,) = torch.autograd.grad(size, bias)
        exact = oracle()
        true = exact.grad(lambda b: exact.sum(BEND, w, b)[1])(B)
        torch.testing.assert_close(found, true, rtol=0, atol=2e-4)
        return fed.ledger[-1].down

    with masked(config=TAPED, clock=clock) as fed:
        late = TAPE_S / 2 - 1
        assert slope(fed, W) == 32 + 6 * 8
        late = TAPE_S / 2
        assert slope(fed, 2 * W) == 8 + 6 * 8 + 6 * 8  # seed, arguments, cotangents


@pytest.mark.parametrize(("policy", "named"), [("strict", True), ("resample", False)])
def test_others_than_those_of_the_value_have_no_tape(policy: str, named: bool) -> None:
    """So that `resample` brings arguments along. Exact rounds keep tapes, too."""
    rounds = OracleRounds(TAPED, SOURCES, [data_of(i) for i in range(4)])
    fed = Federation(rounds, TAPED, Cohort(least=4, most=4), dropouts=policy)
    found = fed.grad(lambda w: fed.sum(BEND, w, B)[1])(W)
    exact = oracle()
    torch.testing.assert_close(found, exact.grad(lambda w: exact.sum(BEND, w, B)[1])(W))
    assert (fed.ledger[-1].down < fed.ledger[0].down + 6 * 8) is named


# ---- a device ------------------------------------------------------------------------------------


class Device:
    """A device with a tape."""

    def __init__(self, config: AutodiffConfig = TAPED, most_bytes: int = 1 << 20) -> None:
        self.clock = ManualClock()
        self.tape = Tape(self.clock, most_bytes)
        self._algorithm = Autodiff(config)
        self._learner, self._data = learner_of("torch"), data_of(0)

    def answer(self, wanted: Wanted, tensors: dict[str, PublicArray]) -> np.ndarray:
        ask = Ask(wanted.step, LOSS.fields(wanted), tensors)
        ask = self._algorithm.recall(ask, self.tape)
        rng = np.random.default_rng(0)
        made = self._algorithm.local(ask, self._learner, self._data, rng).arrays
        return np.asarray(made[f"{wanted.groups[-1]}_0"])


def call_of(wanted: Wanted, theta: float = 0.5) -> ProgramCall:
    pulls = {} if wanted.by is None else {"loss": np.ones(())}
    return ProgramCall(wanted.program, wanted.groups, (), {"theta": np.full(5, theta)}, pulls)


def brought(wanted: Wanted, theta: float = 0.5) -> dict[str, PublicArray]:
    return tensors_of(LOSS, call_of(wanted, theta), 3)


def named(theta: float = 0.5) -> dict[str, PublicArray]:
    return taped_of(LOSS, call_of(GRADIENT, theta), 3)


def test_a_device_finds_what_is_named() -> None:
    device = Device()
    device.answer(VALUE, brought(VALUE))
    device.answer(VALUE, brought(VALUE, 0.6))
    for theta in (0.5, 0.6):
        found = device.answer(GRADIENT, named(theta))
        np.testing.assert_array_equal(found, device.answer(GRADIENT, brought(GRADIENT, theta)))


@pytest.mark.parametrize("how", ["never", "late", "crowded out", "started again", "other seed"])
def test_what_is_gone_is_refused_in_words(how: str) -> None:
    """And never answered at other arguments."""
    device = Device(most_bytes=60)  # five numbers and a seed: 48 bytes
    request = named()
    if how != "never":
        device.answer(VALUE, brought(VALUE))
    match how:
        case "late":
            device.clock.advance_to(device.clock.now() + TAPE_S)
        case "crowded out":
            device.answer(VALUE, brought(VALUE, 0.6))
        case "started again":
            device.tape = Tape(device.clock)
        case "other seed":
            request = taped_of(LOSS, call_of(GRADIENT), 4)
    with pytest.raises(ConfigError, match="are gone from this device"):
        device.answer(GRADIENT, request)


def test_until_then_it_is_there() -> None:
    device = Device(most_bytes=100)
    device.answer(VALUE, brought(VALUE))
    device.answer(VALUE, brought(VALUE, 0.6))
    device.answer(GRADIENT, named())  # 0.6 is now what was not asked for longest
    device.answer(VALUE, brought(VALUE, 0.7))
    device.clock.advance_to(device.clock.now() + TAPE_S - 1)
    device.answer(GRADIENT, named())
    with pytest.raises(ConfigError, match="are gone"):
        device.answer(GRADIENT, named(0.6))


def test_nothing_is_kept_without_a_tape() -> None:
    device = Device(CONFIG)
    device.answer(VALUE, brought(VALUE))
    with pytest.raises(ConfigError, match="no tape"):
        device.answer(GRADIENT, named())
    with pytest.raises(ConfigError, match="tape_s is"):
        AutodiffConfig(TERMS, tape_s=3601.0)
    with pytest.raises(ConfigError, match="0 or more"):
        Tape(ManualClock(), most_s=-1.0)


WRONG: dict[str, tuple[Wanted, dict[str, PublicArray]]] = {
    "of a value": (VALUE, {TAPE: np.zeros(32, np.uint8)}),
    "no digest": (GRADIENT, {**named(), TAPE: np.zeros(31, np.uint8)}),
    "of another type": (GRADIENT, {**named(), TAPE: np.zeros(32)}),
    "with arguments": (GRADIENT, {**brought(GRADIENT), **named()}),
    "no cotangent": (GRADIENT, {TAPE: named()[TAPE]}),
    "a cotangent beyond 1": (GRADIENT, {**named(), "cotangent_0": np.array(1.5)}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_request_that_does_not_keep_to_the_terms_is_refused_on_both_sides(case: str) -> None:
    wanted, tensors = WRONG[case]
    algorithm = Autodiff(TAPED)
    with pytest.raises(ConfigError):
        algorithm.hear(algorithm.init(np.random.default_rng(0)), Question(wanted.step, tensors))
    device = Device()
    device.answer(VALUE, brought(VALUE))
    with pytest.raises(ConfigError):
        device.answer(wanted, tensors)
