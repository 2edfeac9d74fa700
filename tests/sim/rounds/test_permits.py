"""9: what a device's owner does not allow is refused with S6, by the agent's own permits.

A whole federation; device 0 alone has an owner who forbids something. The others' round goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.protocol.messages import Declined
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.transport.tap import ByteCounter
from dreamshare_crypto.errors import RefusalCode
from dreamshare_edge.conditions import ManualConditions
from dreamshare_edge.desk import AgentPermits
from dreamshare_edge.policy import Policy
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore
from tests.sim.rounds.toy import NAME
from tests.sim.rounds.world import World
from tests.sim.secagg.federation import NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with FileStore(tmp_path / "store") as store:
        yield store


@pytest.mark.parametrize(
    ("algorithms", "policy", "charged", "words"),
    [
        pytest.param(
            ("other/1",), Policy(), 0, "computes other/1, not toy/1", id="start_unknown_algorithm"
        ),
        pytest.param(
            (NAME,),
            Policy(refused_steps=(f"{NAME}:sum",)),
            0,
            "the step sum",
            id="start_forbidden_step",
        ),
        pytest.param(
            (NAME,), Policy(rounds_per_day=2), 2, "rounds_per_day allows 2", id="start_budget_spent"
        ),
    ],
)
def test_not_permitted(
    store: FileStore, algorithms: tuple[str, ...], policy: Policy, charged: int, words: str
) -> None:
    for _ in range(charged):
        store.charge(NOW)
    spending = Spending(store, ByteCounter(), ManualClock(NOW))
    permits = AgentPermits(algorithms, policy, ManualConditions(), spending, lambda plan: None)
    world = World(permits=permits)
    world.start()
    device = world.devices[0]
    while not any(isinstance(message, Declined) for message in device.sent):
        assert world.step()
    (outcome,) = (each for each in device.outcomes if isinstance(each, RoundDeclined))
    assert outcome.code is RefusalCode.S6
    assert words in outcome.text
    assert device.working is None
