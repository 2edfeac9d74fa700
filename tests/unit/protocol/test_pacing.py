"""Deadlines that follow how long devices take, and what a quorum does to the others."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dreamshare.ids import PartyId
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import SumAbandoned, SumDone
from dreamshare.protocol.pacing import FEWEST, WINDOW, Pace, Pacing
from dreamshare.protocol.phases import Computing, Summing
from tests.sim.rounds.world import World

DEVICES = tuple(PartyId(bytes([i]) * 16) for i in range(10))
TIMES = Deadlines(60, 100, 40, adapt_s=2.0)


def test_a_deadline_is_a_quantile_times_a_factor_within_bounds() -> None:
    pace = Pace().after(*[1.0] * 94, *[7.0] * 6)
    assert pace.deadline(2.0, 100.0) == 14.0  # the 95th of 100 took 7 s, twice that
    assert pace.deadline(20.0, 100.0) == 20.0
    assert pace.deadline(2.0, 10.0) == 10.0
    assert Pace().after(*[1.0] * (FEWEST - 1)).deadline(0.5, 100.0) == 100.0, "too few to tell"


@given(st.lists(st.floats(0, 1e6), max_size=600), st.floats(1, 50), st.floats(50, 1e4))
def test_a_deadline_is_always_within_its_bounds(
    seen: list[float], least: float, most: float
) -> None:
    pace = Pace().after(*seen)
    assert len(pace.seen) <= WINDOW
    assert least <= pace.deadline(least, most) <= most


def play(pacing: Pacing, took: dict[PartyId, float], now: float = 1000.0) -> Deadlines:
    """Play a round in which devices took so long; return its deadlines."""
    found = pacing.opened(DEVICES, 3, TIMES, now)
    for device, seconds in took.items():
        pacing.answered(device, now + seconds)
    pacing.summed(took, now + max(took.values()) + 1.0)
    return found


def test_rounds_get_shorter_deadlines_when_devices_are_quick_and_longer_ones_when_not() -> None:
    pacing = Pacing()
    assert play(pacing, dict.fromkeys(DEVICES, 3.0)) == TIMES
    assert play(pacing, dict.fromkeys(DEVICES, 3.0)).collect_s == 6.0
    assert play(pacing, dict.fromkeys(DEVICES[:5], 4.0)).collect_s == 6.0, "half of them missed it"
    assert play(pacing, dict.fromkeys(DEVICES, 3.0)).collect_s == 16.0
    pacing.given_up()
    assert play(pacing, dict.fromkeys(DEVICES, 3.0)) == TIMES, "all the time that there is"


def test_fixed_deadlines_stay() -> None:
    pacing, fixed = Pacing(), replace(TIMES, adapt_s=0.0)
    play(pacing, dict.fromkeys(DEVICES, 3.0))
    assert pacing.opened(DEVICES, 3, fixed, 0.0) == fixed


def test_after_a_quorum_the_others_have_half_as_long_again() -> None:
    pacing = Pacing(quorum=0.75)
    pacing.opened(DEVICES, 3, TIMES, 1000.0)
    for device in DEVICES[:7]:
        pacing.answered(device, 1010.0)
    assert pacing.until is None
    pacing.answered(DEVICES[7], 1020.0)
    pacing.answered(PartyId(b"x" * 16), 1020.0)
    assert pacing.until == 1030.0
    assert pacing.overdue(1029.0) == ()
    pacing.answered(DEVICES[8], 1029.5)
    assert pacing.overdue(1030.0) == (DEVICES[9],)
    assert pacing.overdue(1031.0) == (), "once"


def test_a_quorum_is_never_below_what_a_sum_takes() -> None:
    pacing = Pacing(quorum=0.1)
    pacing.opened(DEVICES, 6, TIMES, 1000.0)
    for device in DEVICES[:5]:
        pacing.answered(device, 1001.0)
    assert pacing.until is None


def test_a_round_closes_with_its_quorum_and_long_before_its_deadline() -> None:
    """Eight devices, one of which computes for ever: the sum is over seven."""
    world = World(8, Cohort(8, 8, quorum=0.8))
    world.start()
    while not all(isinstance(d.participant.phase, Computing) for d in world.devices):
        assert world.step_messages()
    opened, slow = world.now, world.devices[0]
    world.now += 4.0
    for device in world.devices[1:]:
        world.work(device)
    while world.up:
        world.deliver_up(0)
    assert isinstance(world.coordinator.phase, Summing)
    assert world.coordinator.deadline == opened + 6.0  # the quorum took 4 s
    world.tick(opened + 6.0)
    while not [report for report in world.reports if isinstance(report, SumDone | SumAbandoned)]:
        assert world.step_messages()
    (done,) = [report for report in world.reports if isinstance(report, SumDone)]
    assert len(done.survivors) == 7
    assert slow.id not in done.survivors


def test_a_round_asks_for_no_more_than_the_offer_signed() -> None:
    """SA-2's machine refuses deadlines above the offer's (17.16): a whole run goes through."""
    world = World(4)
    terms = replace(world.terms, deadlines=replace(world.terms.deadlines, adapt_s=1.0))
    world.coordinator = Coordinator(world.identity, world.task, terms, world.entropy)
    world.run()
    assert world.closed
    assert len([report for report in world.reports if isinstance(report, SumDone)]) == 3
