"""Derivatives over devices: exact against one process, rounds and nothing else, few of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from dreamshare.autodiff import Federation
from dreamshare.errors import ConfigError
from tests.autodiff.federations import DEVICES, masked, oracle
from tests.autodiff.programs import BEND, FEATURES, LOSS, data_of
from tests.unit.learning.export.programs import curve

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
"""Forward mode loads torch's own scripts of formulas."""

THETA = torch.linspace(-0.8, 0.9, FEATURES, dtype=torch.float64)
W = torch.linspace(0.5, -0.4, FEATURES, dtype=torch.float64)
B = torch.tensor(0.3, dtype=torch.float64)
ALONG = torch.tensor([0.3, -1.0, 0.2, 0.9, -0.5], dtype=torch.float64)


def plain_loss(theta: Tensor) -> Tensor:
    """The mean loss in one process."""
    losses = []
    for i in range(DEVICES):
        batch = data_of(i)
        sign_N = torch.tensor(2.0 * batch._y - 1.0)
        margin_N = sign_N * (torch.tensor(batch._x, dtype=torch.float64) @ theta)
        losses.append(functional.softplus(-margin_N).mean())
    return torch.stack(losses).mean()


def plain_bend(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    parts = []
    for i in range(DEVICES):
        x = torch.tensor(data_of(i)._x, dtype=torch.float64)
        found = curve({"w": w, "b": b}, {"x": x}, lambda x: x)
        parts.append((found["mean"], found["size"]))
    return sum(m for m, _ in parts), sum(s for _, s in parts)  # type: ignore[return-value]


def objective(fed: Federation, w: Tensor, b: Tensor) -> Tensor:
    """Two rounds, the second of the first's result, with the caller's own functions between."""
    mean, size = fed.sum(BEND, w, b)
    after = fed.mean(LOSS, torch.tanh(mean) * b)
    return after + size.sin() + (w * w).sum()


def plain_objective(w: Tensor, b: Tensor) -> Tensor:
    mean, size = plain_bend(w, b)
    return plain_loss(torch.tanh(mean) * b) + size.sin() + (w * w).sum()


def nodes(tensor: Tensor) -> set[str]:
    """The names of all nodes of a tensor's graph."""
    seen, todo = set(), [tensor.grad_fn]
    names: set[str] = set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.add(node.name())
        todo += [each for each, _ in node.next_functions]
    return names


def test_the_oracle_equals_one_process() -> None:
    fed = oracle()
    value, found = fed.value_and_grad(lambda w, b: objective(fed, w, b))(W, B)
    leaves = W.clone().requires_grad_(), B.clone().requires_grad_()
    expected = plain_objective(*leaves)
    torch.testing.assert_close(value, expected.detach())
    for one, other in zip(found, torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(one, other)
    hessian = torch.autograd.functional.hessian(plain_loss, THETA)
    torch.testing.assert_close(fed.hvp(lambda t: fed.mean(LOSS, t))(THETA, ALONG), hessian @ ALONG)


def test_checks_of_torch_pass_in_one_process() -> None:
    fed = oracle()
    given = W.clone().requires_grad_(), B.clone().requires_grad_()
    for function in (lambda w, b: fed.sum(BEND, w, b), lambda w, b: objective(fed, w, b)):
        assert gradcheck(function, given, check_forward_ad=True)
        assert gradgradcheck(function, given)


def test_masked_sums_give_the_same_derivatives_in_every_mode() -> None:
    """Within what the encoding rounds: 20 bits of a bound of 8 are 1.5e-5 a device."""
    exact = oracle()
    with masked(("torch", "onnx", "torch", "onnx")) as fed:
        for mode in ("reverse", "forward"):
            near = fed.value_and_grad(lambda w, b: objective(fed, w, b), mode)(W, B)
            true = exact.value_and_grad(lambda w, b: objective(exact, w, b), mode)(W, B)
            torch.testing.assert_close(near, true, rtol=0, atol=4e-3)
        near = fed.jvp(lambda t: fed.mean(LOSS, t))([THETA], [ALONG])
        true = exact.jvp(lambda t: exact.mean(LOSS, t))([THETA], [ALONG])
        torch.testing.assert_close(near, true, rtol=0, atol=2e-5)
        product = fed.hvp(lambda t: fed.mean(LOSS, t))(THETA, ALONG)
        true_product = exact.hvp(lambda t: exact.mean(LOSS, t))(THETA, ALONG)
        torch.testing.assert_close(product, true_product, rtol=0, atol=2e-5)


def test_checks_of_torch_pass_over_masked_devices() -> None:
    """Step and tolerance follow from the encoding and the program.

    A sum of n devices is off by e = n d at most, d = 2 C / (2^20 - 1), C = 4. The third derivative
    of softplus is 0.0963 at most and no |x| exceeds 1.5, so that of the sum is M = n 1.5^3 0.0963
    at most. A central difference with step h is off by e / h + M h^2 / 6, least at h^3 = 3 e / M.
    Gradients (C = 2) are rounded finer, and the fourth derivative, n 1.5^4 0.125, has less room
    than twice of this.
    """
    e, third = DEVICES * 2 * 4 / (2**20 - 1), DEVICES * 1.5**3 * 0.0963
    h = (3 * e / third) ** (1 / 3)
    tolerance = 2 * (e / h + third * h * h / 6)
    assert tolerance < 3e-3
    given = THETA.clone().requires_grad_()
    with masked() as fed:
        assert gradcheck(lambda t: fed.sum(LOSS, t), given, eps=h, atol=tolerance, rtol=0)
        assert gradgradcheck(
            lambda t: fed.sum(LOSS, t),
            given,
            torch.tensor(0.8, dtype=torch.float64, requires_grad=True),
            eps=h,
            atol=tolerance,
            rtol=0,
        )


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_derivative_that_is_asked_for_comes_under_no_grad_too(mode: str) -> None:
    """`torch.func.grad` gives it there as well; once this gave zeros and said nothing."""
    fed = oracle()
    with torch.no_grad():
        found = fed.grad(lambda t: fed.mean(LOSS, t), mode)(THETA)
        curved = fed.hvp(lambda t: fed.mean(LOSS, t))(THETA, ALONG)
    leaf = THETA.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_loss(leaf), leaf)
    torch.testing.assert_close(found, expected)
    hessian = torch.autograd.functional.hessian(plain_loss, THETA)
    torch.testing.assert_close(curved, hessian @ ALONG)


def test_several_results_have_no_gradient() -> None:
    fed = oracle()
    with pytest.raises(ConfigError, match="gives 2 results; a derivative is of one"):
        fed.grad(lambda t: (t, t))(THETA)
    with pytest.raises(ConfigError, match="gives 2 results; a derivative is of one"):
        fed.hvp(lambda t: (t, t))(THETA, ALONG)


def test_a_derived_graph_holds_rounds_only() -> None:
    fed = oracle()
    leaf = THETA.clone().requires_grad_()
    once = fed.sum(LOSS, leaf)
    assert nodes(once) == {"ValueBackward", "torch::autograd::AccumulateGrad"}
    (slope,) = torch.autograd.grad(once, leaf, create_graph=True)
    assert nodes(slope) <= {"PullBackward", "torch::autograd::AccumulateGrad"}
    vector = ALONG.clone().requires_grad_()
    (product,) = torch.autograd.grad(slope, leaf, vector, create_graph=True)
    assert nodes(product) <= {"CurveBackward", "torch::autograd::AccumulateGrad"}


def test_a_loss_brings_its_gradient_along() -> None:
    fed = oracle()
    leaf = THETA.clone().requires_grad_()
    loss = fed.mean(LOSS, leaf)
    (3 * loss).backward()
    assert [each.step for each in fed.ledger] == ["logistic/1:value+gradient:0"]
    expected = THETA.clone().requires_grad_()
    (3 * plain_loss(expected)).backward()
    torch.testing.assert_close(leaf.grad, expected.grad)
    late = oracle(eager=False)
    late.mean(LOSS, leaf).backward()
    assert [each.step for each in late.ledger] == ["logistic/1:value", "logistic/1:gradient:0"]


def test_a_value_and_its_tangent_come_with_one_message() -> None:
    fed = oracle()
    fed.jvp(lambda t: fed.mean(LOSS, t))([THETA], [ALONG])
    assert [each.step for each in fed.ledger] == ["logistic/1:value+pushed"]


def test_only_wanted_cotangents_are_asked_for() -> None:
    fed = oracle()
    bias = B.clone().requires_grad_()
    _, size = fed.sum(BEND, W, bias)
    size.backward()
    assert [each.step for each in fed.ledger] == ["curve/2:value", "curve/2:gradient:1"]
    assert BEND.sets[1] == ("b",)


def test_nothing_is_asked_twice() -> None:
    fed = oracle()
    for _ in range(2):
        leaf = W.clone().requires_grad_(), B.clone().requires_grad_()
        mean, size = fed.sum(BEND, *leaf)
        (mean.sum() + size).backward()
    assert len(fed.ledger) == 2


def test_a_cotangent_of_zeros_costs_no_round() -> None:
    fed = oracle()
    bias = B.clone().requires_grad_()
    _, size = fed.sum(BEND, W, bias)
    (0.0 * size).backward()
    assert len(fed.ledger) == 1
    assert bias.grad == 0


def test_explain_says_what_is_asked_before_it_is() -> None:
    fed = oracle()
    function = fed.grad(lambda w, b: objective(fed, w, b))
    said = fed.explain(function, W, B)
    assert fed.ledger == ()
    function(W, B)
    assert [(e.step, e.down, e.up) for e in fed.ledger] == [
        (e.step, e.down, e.up) for e in said.rounds
    ]
    assert "curve/2:gradient:2" in str(said)
    assert fed.explain(function, W, B).rounds == ()


def test_auto_takes_fewer_rounds() -> None:
    """One number forwards: one round. Five numbers: two rounds backwards."""
    fed = oracle()
    fed.grad(lambda b: fed.sum(BEND, W, b)[1], mode="auto")(B)
    assert [each.step for each in fed.ledger] == ["curve/2:value+pushed"]
    other = oracle()
    other.grad(lambda w: other.sum(BEND, w, B)[1], mode="auto")(W)
    assert len(other.ledger) == 2


def test_torch_func_works_on_the_callers_side() -> None:
    fed = oracle()
    found = torch.func.grad(lambda t: fed.mean(LOSS, t))(THETA)
    expected = THETA.clone().requires_grad_()
    (slope,) = torch.autograd.grad(plain_loss(expected), expected)
    torch.testing.assert_close(found, slope)
    with pytest.raises(ConfigError, match="vmap"):
        torch.func.vmap(lambda t: fed.mean(LOSS, t))(torch.stack([THETA, THETA]))


def test_a_map_of_broadcasts_is_one_round_when_it_is_summed() -> None:
    fed = oracle()
    mapped = fed.map(LOSS, fed.broadcast(THETA))
    assert fed.ledger == ()
    torch.testing.assert_close(fed.mean(mapped), plain_loss(THETA))
    assert len(fed.ledger) == 1


def test_a_weighted_mean_takes_both_sums_from_one_round() -> None:
    fed = oracle()
    found = fed.mean(BEND, W, B, weight="size")
    mean, size = plain_bend(W, B)
    torch.testing.assert_close(found, mean / size)
    assert len(fed.ledger) == 1


def test_third_derivatives_are_refused_in_words() -> None:
    fed = oracle()
    leaf = THETA.clone().requires_grad_()
    (slope,) = torch.autograd.grad(fed.sum(LOSS, leaf), leaf, create_graph=True)
    (product,) = torch.autograd.grad(slope, leaf, ALONG, create_graph=True)
    with pytest.raises(ConfigError, match="third derivative"):
        product.sum().backward()
