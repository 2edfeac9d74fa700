"""What `explain` says is what devices receive and send, frame by frame, over gRPC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from dreamshare import autodiff
from dreamshare.autodiff import Federation
from dreamshare.autodiff.traffic import Traffic
from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines
from tests.autodiff.programs import BEND, LOSS
from tests.autodiff.test_federation import ALONG, THETA, B, W, objective
from tests.integration.frames import FrameCounter
from tests.integration.test_autodiff import DEVICES, stage

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
]


@pytest.mark.parametrize("tape_s", [0.0, 3600.0])
async def test_explain_equals_the_frames_of_the_run(tmp_path: Path, tape_s: float) -> None:
    """Set-ups included: the session is planned for two rounds, so that an epoch ends in it."""
    counter = FrameCounter()

    def run(client: Client) -> None:
        cohort = Cohort(least=DEVICES, most=DEVICES, survivors=3)
        with autodiff.federation(
            client,
            (LOSS, BEND),
            cohort=cohort,
            rounds=2,
            deadlines=Deadlines(60, 60, 60),
            deadline_s=200.0,
            tape_s=tape_s,
        ) as fed:
            for function, given in computations(fed):
                said = fed.explain(function, *given)
                before = len(fed.ledger)
                function(*given)
                made = fed.ledger[before:]
                expected.update({"up": said.wire.up, "down": said.wire.down})
                assert [(e.step, e.wire, e.setup) for e in made] == [
                    (e.step, e.wire, e.setup) for e in said.rounds
                ]
            setups.append([each.setup != Traffic() for each in fed.ledger])

    expected: Counter[str] = Counter()
    setups: list[list[bool]] = []
    async with stage(tmp_path, ALLOWED, counter, kinds=("torch",)) as client:
        await asyncio.to_thread(run, client)
    assert setups == [[True, False, False, True, False, True]]
    assert len(counter.up) == len(counter.down) == DEVICES
    assert set(counter.up.values()) == {expected["up"]}
    assert set(counter.down.values()) == {expected["down"]}


ALLOWED = tuple(
    f"{name}:{transform}"
    for name in ("logistic/1", "curve/2")
    for transform in ("value", "vjp", "jvp", "hvp")
)


def computations(fed: Federation) -> tuple[tuple[Callable[..., object], tuple[Tensor, ...]], ...]:
    def loss(theta: Tensor) -> Tensor:
        return fed.mean(LOSS, theta)

    return (
        (fed.grad(lambda w, b: objective(fed, w, b)), (W, B)),
        (lambda theta: fed.hvp(loss)(theta, ALONG), (THETA,)),
        (lambda theta: fed.jvp(loss)([theta], [ALONG]), (2 * THETA,)),
    )
