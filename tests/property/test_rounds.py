"""Any order of losses, repeats, crashes and waits leaves every promise of the rounds intact.

Each step of both machines is checked against LEGAL and the order of effects by `World` itself; at
the end the network is kind again and the run must come to an end.
"""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.protocol.messages import Cohort
from tests.sim.rounds import invariants
from tests.sim.rounds.operations import (
    Crash,
    CrashAtWrite,
    Disconnect,
    Drop,
    Duplicate,
    KillAggregator,
    Operation,
    Reconnect,
    Reorder,
    RestartAggregator,
    Steps,
    Wait,
)
from tests.sim.rounds.world import World

PLACES = st.integers(0, 11)
DEVICES = st.integers(0, 4)

OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Steps, st.integers(1, 25)),
    st.builds(Reorder, PLACES, st.booleans()),
    st.builds(Duplicate, PLACES, st.booleans()),
    st.builds(Drop, PLACES, st.booleans()),
    st.builds(Disconnect, DEVICES),
    st.builds(Reconnect, DEVICES),
    st.builds(Crash, DEVICES),
    st.builds(CrashAtWrite, DEVICES, st.integers(0, 12)),
    st.just(RestartAggregator()),
    st.builds(KillAggregator, st.integers(1, 30)),
    st.just(Wait()),
)


@settings(max_examples=40)
@given(st.integers(4, 5), st.lists(OPERATIONS, max_size=25))
def test_no_order_of_events_breaks_a_promise(devices: int, operations: list[Operation]) -> None:
    world = World(devices, Cohort(least=4, most=devices))
    world.start()
    world.apply(operations)
    invariants.check(world)
    world.calm()
    invariants.check(world)
    invariants.check_ended(world)


def test_crash_at_every_write() -> None:
    """One device dies before its k-th write, for every k of a whole task; all sums still come."""
    for writes in itertools.count():
        world = World(4, Cohort(least=4, most=4))
        world.apply([CrashAtWrite(1, writes)])
        world.run()
        invariants.check(world)
        invariants.check_ended(world)
        assert len(world.sums) == 3
        if world.devices[1].writes_left is not None:
            return  # it wrote less often than that


@settings(max_examples=20)
@given(st.lists(st.tuples(PLACES, st.booleans()), min_size=50, max_size=300))
def test_the_order_of_arrival_does_not_matter(order: list[tuple[int, bool]]) -> None:
    """Reordered and nothing lost: all sums come out, each the mean of its survivors' answers."""
    world = World()
    world.start()
    world.apply(Reorder(place, up) for place, up in order)
    world.finish()
    invariants.check(world)
    invariants.check_ended(world)
    assert len(world.sums) == 3
