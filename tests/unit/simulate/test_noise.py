"""Whole tasks with noise: what they cost, what comes out, and who refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.privacy import Privacy
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import DeviceDeclined, SumDone, TaskOutcome
from dreamshare.simulate import Kill, SimulationOptions, SimulationResult, simulate
from dreamshare_crypto.accounting import epsilon
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.floor import Floor
from tests.sim.rounds.toy import CONFIG, NAME
from tests.unit.simulate.test_simulate import Numbers, devices

PRIVACY = Privacy(clip=2.0, multiplier=0.5, delta=1e-5, bits=12)
N = 8


def run(
    privacy: Privacy | None = PRIVACY,
    floor: Floor | None = None,
    kills: tuple[Kill, ...] = (),
    seen: list[TaskOutcome] | None = None,
) -> SimulationResult:
    options = SimulationOptions(
        deadlines=Deadlines(20.0, 40.0, 10.0),
        lookup=lambda name, config: Numbers(),
        privacy=privacy,
        floor=floor or Floor(),
        kills=kills,
        on_report=None if seen is None else seen.append,
    )
    return simulate((NAME, CONFIG), devices(N), cohort=Cohort(N - 2, N), options=options)


def sums(result: SimulationResult) -> list[SumDone]:
    return [report for report in result.reports if isinstance(report, SumDone)]


def test_a_noisy_task_ends_and_says_what_it_cost() -> None:
    """8 devices: a = 1, u_min = t = 5, so E - a = 4; 8 survivors make 7/4 of the variance.

    The tails are made for the least roster that can come about, 4 devices with E - a = 2.
    """
    result = run()
    assert result.aggregations == 3
    for done in sums(result):
        assert done.spent is not None
        assert done.spent.honest == 4
        assert done.spent.charge.multiplier == pytest.approx(0.5)
        assert done.spent.multiplier == pytest.approx(0.5 * math.sqrt(7 / 4))


def test_the_mean_is_noisy_by_as_much_as_is_said() -> None:
    """Error of a coordinate: deviation z D2 sqrt(8/4) levels of 2/(2^12-1), over 8 devices.

    6 coordinates a sum and 3 sums: their norm is within a factor of 2 of its expectation.
    """
    quiet, noisy = sums(run(None)), sums(run())
    errors = np.array(
        [
            np.asarray(b.mean["x"]) - np.asarray(a.mean["x"])
            for a, b in zip(quiet, noisy, strict=True)
        ]
    )
    spent = noisy[0].spent
    assert spent is not None
    deviation = 0.5 * spent.charge.l2 * math.sqrt(2) * 2 / 4095 / N
    assert 0.5 < math.sqrt(float(np.mean(errors**2))) / deviation < 2.0


def test_devices_that_die_leave_enough_noise() -> None:
    result = run(kills=(Kill(0, 0), Kill(3, 1)))
    last = sums(result)[-1]
    assert len(last.survivors) == 6
    assert last.spent is not None
    assert last.spent.multiplier == pytest.approx(0.5 * math.sqrt(5 / 4))


def test_a_budget_that_is_spent_ends_the_task() -> None:
    """Two of the three sums fit; devices refuse the third, and the aggregator hears S6."""
    first = sums(run())[0].spent
    assert first is not None
    seen: list[TaskOutcome] = []
    two = epsilon([first.charge] * 2, 1e-5) * 1.001
    with pytest.raises(DreamshareError, match="given up"):
        run(floor=Floor(epsilon=two, delta=1e-5), seen=seen)
    assert sum(isinstance(report, SumDone) for report in seen) == 2
    declined = [report for report in seen if isinstance(report, DeviceDeclined)]
    assert {report.code for report in declined} == {RefusalCode.S6}
    three = epsilon([first.charge] * 3, 1e-5) * 1.001
    assert run(floor=Floor(epsilon=three, delta=1e-5)).aggregations == 3


@pytest.mark.parametrize(
    ("privacy", "floor"),
    [(None, Floor(epsilon=100.0)), (None, Floor(min_noise=0.1)), (PRIVACY, Floor(min_noise=0.51))],
    ids=["budget", "noise", "more noise"],
)
def test_too_little_noise_is_refused_with_the_offer(privacy: Privacy | None, floor: Floor) -> None:
    seen: list[TaskOutcome] = []
    with pytest.raises(DreamshareError):
        run(privacy, floor, seen=seen)
    codes = {report.code for report in seen if isinstance(report, DeviceDeclined)}
    assert codes == {RefusalCode.O1}


def test_just_enough_noise_is_accepted() -> None:
    assert run(floor=Floor(min_noise=0.49)).aggregations == 3


def test_an_epsilon_for_the_task_is_met() -> None:
    result = run(Privacy(clip=2.0, epsilon=20.0, delta=1e-5, bits=12))
    spent = [done.spent.charge for done in sums(result) if done.spent is not None]
    assert 19.0 < epsilon(spent, 1e-5) <= 20.0


class Weighing(Numbers):
    def noise_fault(self) -> str:
        return "its weights tell too much"


def test_an_algorithm_may_refuse_noise() -> None:
    options = SimulationOptions(lookup=lambda name, config: Weighing(), privacy=PRIVACY)
    with pytest.raises(ConfigError, match="with noise: its weights tell too much"):
        simulate((NAME, CONFIG), devices(4), cohort=Cohort(4, 4), options=options)
    simulate(
        (NAME, CONFIG), devices(4), cohort=Cohort(4, 4), options=replace(options, privacy=None)
    )
