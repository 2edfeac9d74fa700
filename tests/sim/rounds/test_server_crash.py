"""The aggregator killed before each single effect of a run: it goes on with epoch and round (9.8).

What was synced is there when it starts again, and nothing else. The run must end with the very sums
of an undisturbed one: no round abandoned, none asked twice, one epoch, and no device computed or
said anything twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dreamshare.protocol.outcomes import EpochEnded, EpochResumed, EpochStarted, SumAbandoned
from dreamshare_crypto.secagg.events import Record, RecordKind
from tests.sim.rounds import invariants
from tests.sim.rounds.bounded import bounded_world
from tests.sim.rounds.toy import Toy
from tests.sim.rounds.world import World

WORLDS: dict[str, Callable[[], World]] = {
    "agreed": lambda: World(4, toy=Toy(2, 1)),
    "bounded": lambda: bounded_world(Toy(1, 0)),
}

STRIDES = {"agreed": 1, "bounded": 2}
"""A larger cohort has more effects of the same kind."""


def run(world: World, dies_at: int | None) -> World:
    """Run to the end; the aggregator dies before its effect of this number, 1 being the first."""
    world.effects_left = dies_at
    world.run()
    return world


def means(world: World) -> list[dict[str, list[float]]]:
    return [
        {name: np.asarray(mean).tolist() for name, mean in done.mean.items()}
        for done, _ in world.sums
    ]


@pytest.mark.parametrize("mode", WORLDS)
def test_killed_before_every_effect(mode: str) -> None:
    undisturbed = run(WORLDS[mode](), None)
    expected, at, restored = means(undisturbed), 0, 0
    while True:
        at += STRIDES[mode]
        world = run(WORLDS[mode](), at)
        if not world.restarts:
            break
        assert world.closed
        assert means(world) == expected, f"killed before effect {at}"
        assert not world.reports_abandoned()
        assert sum(isinstance(r, EpochEnded) for r in world.reports) <= 1  # used up, at the end
        assert all(n == 1 for device in world.devices for n in device.computed.values())
        invariants.check(world)
        restored += any(isinstance(report, EpochResumed) for report in world.reports)
    assert at > 20
    assert restored >= 15


def test_killed_again_and_again() -> None:
    """Each life carries out a few effects more; the disk only grows."""
    expected = means(run(World(4, toy=Toy(2, 1)), None))
    for lives in range(2, 9):
        world = World(4, toy=Toy(2, 1))
        world.start()
        for life in range(200):
            world.effects_left = lives + life // 8
            world.finish()
            if world.closed:
                break
            world.calm()
        assert means(world) == expected
        assert not world.reports_abandoned()
        invariants.check(world)


def killed_in_a_round() -> World:
    """A world whose aggregator has fixed the survivors of its first round."""
    world = World(4)
    world.start()
    while all(record.kind is not RecordKind.SERVER_FIXED for record in world.records):
        assert world.step()
    return world


@pytest.mark.parametrize("kind", [RecordKind.SERVER_SUM, RecordKind.SERVER_TOOK])
def test_a_damaged_journal_opens_another_epoch_and_says_so(kind: RecordKind) -> None:
    world = killed_in_a_round()
    place = max(i for i, record in enumerate(world.records) if record.kind is kind)
    body = bytearray(world.records[place].body)
    body[-1] ^= 1
    world.records[place] = Record(kind, bytes(body))
    world.restart_aggregator()
    world.finish()
    ended = next(report for report in world.reports if isinstance(report, EpochEnded))
    assert ended.reason.startswith("it cannot go on after the restart: ")
    assert sum(isinstance(report, EpochStarted) for report in world.reports) == 2
    invariants.check(world)
    invariants.check_ended(world)


def test_attempts_are_counted_over_restarts() -> None:
    """A round that is given up again and again ends the task, however often it is restarted."""
    world = World(4)
    world.start()
    for _ in range(40):
        while world.step_messages():  # nobody computes
            pass
        if world.closed:
            break
        world.restart_aggregator()
        while world.step_messages():
            pass
        deadline = world.coordinator.deadline
        assert deadline is not None
        world.tick(deadline)
    assert world.closed
    assert 1 <= len(world.reports_abandoned()) <= 4
    assert all(isinstance(report, SumAbandoned) for report in world.reports_abandoned())


def test_members_that_do_not_come_back_are_waited_for_and_then_done_without() -> None:
    """Two of ten devices went for good with the old process: the epoch goes on with eight."""
    world = World(10)
    world.start()
    while not world.sums:
        assert world.step()
    for device in world.devices[8:]:
        device.connected = False
    world.restart_aggregator()
    world.finish()
    assert world.closed
    assert sum(isinstance(report, EpochStarted) for report in world.reports) == 1
    assert [len(done.survivors) for done, _ in world.sums[1:]] == [8, 8]
    invariants.check(world)
