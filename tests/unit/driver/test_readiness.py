"""Devices that are not needed, not ready, or ready again."""

from __future__ import annotations

import asyncio

from dreamshare.protocol.messages import CheckIn, Cohort
from dreamshare.protocol.outcomes import SumDone
from tests.unit.driver.stage import Handset, Stage


def test_a_device_that_is_not_needed_hangs_up_and_comes_back_when_it_was_told_to() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            await stage.later(1.0)
            idle = stage.handsets[0]
            stage.aggregator.send_home(idle.id, 600.0)
            await stage.later(10.0)
            assert not stage.drivers[idle.id].connected
            assert stage.office.went == [idle.id], "it said goodbye"
            await stage.later(580.0)
            assert not stage.drivers[idle.id].connected
            await stage.later(20.0)
            assert stage.drivers[idle.id].connected
            assert stage.office.came.count(idle.id) == 2
            await stage.follow(stage.begin())

    stage.play(play())
    assert all(len(done.survivors) == 4 for done in stage.sums)


def test_a_device_that_takes_part_in_a_task_stays() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            await stage.follow(run, until=1)
            stage.aggregator.send_home(stage.handsets[0].id, 600.0)
            await stage.follow(run)

    stage.play(play())
    assert all(len(done.survivors) == 4 for done in stage.sums)


def test_a_device_that_is_not_ready_is_not_chosen_until_it_is() -> None:
    stage = Stage(4, Cohort(3, 4))
    tired = _Moody(stage.handsets[3])
    stage.handsets[3] = tired.handset

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            await stage.later(1.0)
            run = stage.begin()
            await stage.follow(run, until=1)
            tired.ready = True
            stage.drivers[tired.handset.id].check_in()
            await asyncio.sleep(0)
            await stage.follow(run)

    stage.play(play())
    sizes = [len(done.survivors) for done in stage.reports if isinstance(done, SumDone)]
    assert (sizes[0], sizes[-1]) == (3, 4)


class _Moody:
    """Makes a handset check in with nothing while it is not ready."""

    def __init__(self, handset: Handset) -> None:
        self.ready = False
        offers = handset.check_in

        def check_in() -> CheckIn:
            return offers() if self.ready else CheckIn((), "a handset")

        handset.check_in = check_in  # type: ignore[method-assign]
        self.handset = handset
