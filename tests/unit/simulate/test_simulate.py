"""Whole runs in simulated time: repeatable, dropouts included, an error where nothing goes on."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import (
    DeviceDropped,
    EpochJoined,
    RoundDone,
    SumDone,
    TaskOutcome,
    TaskOver,
    TellLearnt,
)
from dreamshare.simulate import (
    Kill,
    Moment,
    SimulatedDevice,
    SimulationOptions,
    SimulationResult,
    SimulationStalled,
    simulate,
)
from dreamshare.updates import Update
from tests.sim.rounds.toy import CONFIG, NAME, Toy


class Learner:
    """Says its own number, and notes what it learns."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.learnt = 0


class Numbers(Toy):
    """Answers with the learner's number."""

    def local(self, ask, learner, data, rng):  # type: ignore[no-untyped-def]
        if ask.step == "tell":
            learner.learnt += 1
            return Update()
        return Update({"x": np.full((2, 3), learner.value), "count": np.array(float(rng.random()))})


def devices(n: int = 4) -> list[SimulatedDevice]:
    return [SimulatedDevice(Learner(i / 10), None) for i in range(n)]  # type: ignore[arg-type]


def run(
    n: int = 4,
    *,
    kills: tuple[Kill, ...] = (),
    cohort: Cohort | None = None,
    seed: int = 0,
    seen: list[TaskOutcome] | None = None,
) -> SimulationResult:
    options = SimulationOptions(
        deadlines=Deadlines(20.0, 40.0, 10.0),
        kills=kills,
        lookup=lambda name, config: Numbers(),
        on_report=None if seen is None else seen.append,
    )
    return simulate(
        (NAME, CONFIG), devices(n), cohort=cohort or Cohort(n, n), seed=seed, options=options
    )


def test_a_run_gives_the_algorithms_result() -> None:
    """Mean of 0, 0.1, 0.2, 0.3 within a step of 16 bits."""
    seen: list[TaskOutcome] = []
    result = run(seen=seen)
    assert np.abs(result.arrays["x"] - 0.15).max() < 4 * 2 / (2**16 - 1)
    assert result.aggregations == 3
    assert tuple(seen) == result.reports
    assert result.simulated_s < 1.0
    for outcomes in result.outcomes:
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [EpochJoined, RoundDone, RoundDone, TellLearnt, RoundDone, TaskOver]
    assert [status.bytes_up > 1000 for status in result.statuses] == [True] * 4


def test_every_report_is_shown_with_what_was_sent_and_computed_so_far() -> None:
    seen: list[Moment] = []
    ticks = iter(range(1_000))
    options = SimulationOptions(
        lookup=lambda name, config: Numbers(),
        on_moment=seen.append,
        stopwatch=lambda: float(next(ticks)),
    )
    result = simulate((NAME, CONFIG), devices(), cohort=Cohort(4, 4), options=options)
    assert [moment.report for moment in seen] == list(result.reports)
    assert seen[-1].cycle == -1
    assert seen[-1].statuses[0].bytes_up > seen[0].statuses[0].bytes_up
    assert seen[0].compute_s == (0.0,) * 4
    assert result.compute_s == (4.0,) * 4  # three sums and a tell, a tick each


def test_the_same_seed_is_the_same_run() -> None:
    one, two, other = run(seed=5), run(seed=5), run(seed=6)
    sums = [[r for r in result.reports if isinstance(r, SumDone)] for result in (one, two, other)]
    for a, b in zip(sums[0], sums[1], strict=True):
        assert np.array_equal(np.asarray(a.mean["x"]), np.asarray(b.mean["x"]))
        assert a.survivors == b.survivors
    assert sums[0][0].survivors != sums[2][0].survivors  # other keys, other ids
    assert [s.bytes_up for s in one.statuses] == [s.bytes_up for s in two.statuses]


def test_a_killed_device_is_left_out() -> None:
    """Mean of 0, 0.2, 0.3 from the second sum on."""
    result = run(kills=(Kill(device=1, at_answer=1),))
    sums = [report for report in result.reports if isinstance(report, SumDone)]
    assert [len(done.survivors) for done in sums] == [4, 3, 3]
    assert np.abs(np.asarray(sums[1].mean["x"]) - 0.5 / 3).max() < 4 * 2 / (2**16 - 1)
    (dropped,) = [report for report in result.reports if isinstance(report, DeviceDropped)]
    assert dropped.device == result.statuses[1].device
    assert [type(outcome) for outcome in result.outcomes[1]] == [EpochJoined, RoundDone]
    assert 2.0 <= result.simulated_s < 5.0  # the grace time of a link that broke


def test_too_few_devices_left_is_an_error_and_no_hang() -> None:
    with pytest.raises(SimulationStalled, match="enough devices"):
        run(kills=(Kill(0, 1), Kill(1, 1)))


def test_too_few_devices_to_begin_with() -> None:
    with pytest.raises(ConfigError, match="2 devices"):
        run(2, cohort=Cohort(3, 3))


def test_a_failed_task_is_an_error_with_the_coordinators_reason() -> None:
    class Broken(Numbers):
        def local(self, ask, learner, data, rng):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError("in the learner")

    options = SimulationOptions(lookup=lambda name, config: Broken())
    with pytest.raises(DreamshareError, match="given up"):
        simulate((NAME, CONFIG), devices(), cohort=Cohort(4, 4), options=options)


def test_an_observer_sees_every_frame_of_every_device() -> None:
    frames: list[bytes] = []
    options = SimulationOptions(
        lookup=lambda name, config: Numbers(),
        observer=lambda sender, header, body: frames.append(sender),
    )
    result = simulate((NAME, CONFIG), devices(), cohort=Cohort(4, 4), options=options)
    # Check-in; Advertise, Shares, Ready; three flows for each of three sums; one acknowledged Tell.
    # A device that agreed late may be shown the bitmap again, and says the same again.
    least = 1 + 3 + 3 * 3 + 1
    assert all(frames.count(status.device) >= least for status in result.statuses)
    assert set(frames) == {status.device for status in result.statuses}


def test_kills_count_from_zero() -> None:
    with pytest.raises(ConfigError):
        Kill(-1, 0)
