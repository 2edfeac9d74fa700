"""Derivatives over agents that are processes of their own, over gRPC with TLS, masks on.

One agent has torch, the others onnxruntime and the bundle's graphs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dreamshare import autodiff
from dreamshare.autodiff import Federation
from dreamshare.autodiff.federation import MODES
from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines
from tests.autodiff.federations import oracle
from tests.autodiff.programs import BEND, LOSS, bundle_of, data_of
from tests.autodiff.test_federation import ALONG, THETA, B, W, nodes, objective
from tests.integration.program_agents import processes

DEVICES = 3
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
]

ALLOWED = tuple(
    f"{name}:{transform}"
    for name in ("logistic/1", "curve/2")
    for transform in ("value", "vjp", "jvp", "hvp")
)


async def test_derivatives_of_processes_are_those_of_one(tmp_path: Path) -> None:
    bundle = tmp_path / "programs.dream"
    bundle.write_bytes(bundle_of().to_bytes())

    def run(client: Client) -> None:
        cohort, times = Cohort(least=DEVICES, most=DEVICES), Deadlines(60, 60, 60)
        with autodiff.federation(
            client, (LOSS, BEND), cohort=cohort, rounds=120, deadlines=times, deadline_s=120
        ) as fed:
            checks_of_torch_pass(fed)
            every_mode_equals_the_oracle(fed)
            a_derived_graph_holds_rounds_only(fed)
            assert {each.survivors for each in fed.ledger} == {DEVICES}

    data = [data_of(i) for i in range(DEVICES)]
    async with processes(tmp_path, ALLOWED, data, bundle) as client:
        await asyncio.to_thread(run, client)


def checks_of_torch_pass(fed: Federation) -> None:
    """Step and tolerance follow from the encoding and the program.

    The sum of n devices is off by e = n d at most, d = 2 C / (2^20 - 1), with bounds C of 4 for the
    loss, 2 for gradients and products, 8 for pushes along tangents of at most 1. Here n = 3.

    First derivatives: a central difference of sums with step h is off by e / h + M3 h^2 / 6, where
    the third derivative of softplus is 0.0963 at most and no |x| exceeds 1.5, so that
    M3 = n 1.5^3 0.0963; least at h^3 = 3 e / M3. The derivative itself is off by n d', C' = 2.

    Second ones: differences of gradients by theta have e' = n d' and M4 = n 1.5^4 0.125; those by
    the cotangent have no curvature. The cotangent is 0.8, and curvatures are linear in it.
    """
    step = 2.0 / (2**20 - 1)
    e, rounded = DEVICES * 4 * step, DEVICES * 2 * step
    third, fourth = DEVICES * 1.5**3 * 0.0963, DEVICES * 1.5**4 * 0.125
    h = (3 * e / third) ** (1 / 3)
    first = e / h + third * h * h / 6 + rounded
    second = rounded / h + fourth * h * h / 6 + DEVICES * 8 * step
    assert first < 3e-3
    assert second < 3e-3
    given = THETA.clone().requires_grad_()

    def total(theta: Tensor) -> Tensor:
        found = fed.sum(LOSS, theta)
        assert isinstance(found, Tensor)
        return found

    assert gradcheck(total, given, eps=h, atol=first, rtol=0)
    cotangent = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(total, given, cotangent, eps=h, atol=second, rtol=0)


def every_mode_equals_the_oracle(fed: Federation) -> None:
    """A difference is what the encoding rounds, times what the function makes of it.

    curve/2's results are rounded to n d = 3 * 2 * 8 / (2^20 - 1) < 5e-5, and its derivatives, too,
    for cotangents of at most 1. The objective's own cotangents are below 8 and its second
    derivatives below 8 times that, so that 4e-3 leaves room.
    """
    exact = oracle(DEVICES)

    def of(fed: Federation) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda w, b: objective(fed, w, b)

    true = exact.value_and_grad(of(exact))(W, B)
    for mode in MODES:
        near = fed.value_and_grad(of(fed), mode)(W, B)
        torch.testing.assert_close(near, true, rtol=0, atol=4e-3)

    def loss(fed: Federation) -> Callable[[Tensor], Tensor]:
        return lambda theta: fed.mean(LOSS, theta)  # type: ignore[return-value]

    pushed = fed.jvp(loss(fed))([THETA], [ALONG])
    torch.testing.assert_close(pushed, exact.jvp(loss(exact))([THETA], [ALONG]), rtol=0, atol=2e-5)
    product = fed.hvp(loss(fed))(THETA, ALONG)
    torch.testing.assert_close(product, exact.hvp(loss(exact))(THETA, ALONG), rtol=0, atol=2e-5)


def a_derived_graph_holds_rounds_only(fed: Federation) -> None:
    leaf = THETA.clone().requires_grad_()
    value = fed.sum(LOSS, leaf)
    assert isinstance(value, Tensor)
    assert nodes(value) == {"ValueBackward", "torch::autograd::AccumulateGrad"}
    (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
    assert nodes(slope) == {"PullBackward", "torch::autograd::AccumulateGrad"}
    (product,) = torch.autograd.grad(slope, leaf, ALONG, create_graph=True)
    assert nodes(product) == {"CurveBackward", "torch::autograd::AccumulateGrad"}
