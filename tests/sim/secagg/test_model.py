"""Runs of the model, as operations: those that once went wrong, and chosen ones."""

from __future__ import annotations

import pytest

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.disk import When
from tests.sim.secagg.operations import (
    Crash,
    Cut,
    Delay,
    Deliver,
    Mend,
    Open,
    Operation,
    Renew,
    Settle,
    Until,
    Wait,
)
from tests.sim.secagg.world import World, terms_of

LATE_ROSTER = [
    Settle(),
    Renew(),
    Deliver(8),  # four offers, four answers: roster and peer keys are on their way to everybody
    Renew(),
    *[Delay(0)] * 8,  # the next epoch's offers overtake them
    Settle(),
]
"""A roster of an epoch that was given up arrives in the next one: it ended that one, too (R1)."""

LOST_VECTOR = [
    Settle(),
    Open(),
    Crash(1, 2, When.BEFORE, keeps=True),  # COMMIT is there, VECTOR is not: computed anew
    Settle(),
    Mend(1),
    Settle(),
]
LOST_COMMIT = [
    Settle(),
    Open(),
    Until(Stage.UNMASK_RESPONSE),
    Cut(1, noticed=False),
    Settle(),
    Wait(),
    Mend(1),
    Settle(),
    Open(),
    Crash(1, 2, When.AFTER, keeps=False),  # the chain moved on, COMMIT was never synced
    Settle(),
    Mend(1),
    Settle(),
]


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(LATE_ROSTER, id="late roster"),
        pytest.param(LOST_VECTOR, id="crash before the vector"),
        pytest.param(LOST_COMMIT, id="commit lost, chain ahead"),
    ],
)
def test_run(operations: list[Operation], mode: Mode, suite: Suite) -> None:
    world = World(4, terms_of(suite, mode))
    world.apply(operations)
    world.calm()


@pytest.mark.parametrize(
    ("mode", "when", "keeps"),
    [
        (Mode.AGREED, When.BEFORE, False),
        (Mode.AGREED, When.BEFORE, True),
        (Mode.AGREED, When.LATER, False),
        (Mode.BOUNDED, When.BEFORE, False),
        (Mode.BOUNDED, When.LATER, False),
    ],
)
def test_crash_at_every_write(mode: Mode, when: When, keeps: bool) -> None:
    """One device dies at its k-th write of set-up and two rounds, for every k; the others go on."""
    writes = 1
    while True:
        world = World(4, terms_of(mode=mode))
        world.apply([Crash(0, writes, when, keeps), Settle(), Mend(0), Settle()])
        for _ in range(2):
            world.apply([Open(), Settle(), Mend(0), Settle()])
        assert len(world.watch.sums) == 2
        assert all(len(summed.survivors) == 4 for summed in world.watch.sums)
        if not world.crashes:
            return
        writes += 1
