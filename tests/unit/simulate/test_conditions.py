"""Who is there, how fast, who is lost: drawn device by device, or read from a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.simulate import Conditions, Losses, Traits, read_trace

MANY = 4000


def drawn(conditions: Conditions, step: int = 0) -> list[Traits | None]:
    return [conditions.traits(7, device, step) for device in range(MANY)]


def test_by_default_everybody_is_there_at_once_and_for_good() -> None:
    assert set(drawn(Conditions())) == {Traits()}


def test_a_device_is_what_it_is_whoever_asks_and_in_whatever_order() -> None:
    conditions = Conditions(present=0.5, compute_s=3.0, compute_spread=1.0, corrupt=0.1)
    assert drawn(conditions)[::-1] == [conditions.traits(7, d, 0) for d in range(MANY)][::-1]
    assert drawn(conditions, 1) != drawn(conditions, 2)


def test_parts_are_as_large_as_they_are_said_to_be() -> None:
    """Four thousand draws: a part of p lies within 4 sqrt(p (1 - p) / 4000) of p."""
    conditions = Conditions(
        present=0.5,
        stragglers=0.2,
        compute_s=2.0,
        corrupt=0.1,
        corruption="flipped",
        losses=Losses(advertise=0.1, agree=0.3),
    )
    traits = drawn(conditions)
    there = [each for each in traits if each is not None]
    assert len(there) / MANY == pytest.approx(0.5, abs=0.032)
    for part, expected in (
        (sum(each.compute_s == 20.0 for each in there), 0.2),
        (sum(each.corrupt == "flipped" for each in there), 0.1),
        (sum(each.lost_at == "advertise" for each in there), 0.1),
        (sum(each.lost_at == "agree" for each in there), 0.3),
        (sum(not each.lost_at for each in there), 0.6),
    ):
        assert part / len(there) == pytest.approx(expected, abs=0.045)


def test_the_corrupt_ones_and_the_slow_ones_are_always_the_same() -> None:
    conditions = Conditions(stragglers=0.3, compute_s=1.0, corrupt=0.3)
    assert drawn(conditions, 1) == drawn(conditions, 5)


def test_the_day_moves_over_the_zones() -> None:
    """Full swing: half of all are there at any hour, and who is moves on with the hours."""
    conditions = Conditions(present=0.5, diurnal=1.0, step_hours=12.0)
    noon, midnight = ([t is not None for t in drawn(conditions, step)] for step in (0, 1))
    assert np.mean(noon) == pytest.approx(0.5, abs=0.032)
    both = np.mean(np.logical_and(noon, midnight))
    # chance of both is the mean of (1 + c)(1 - c) / 4 over the zones: (1 - 1/2) / 4
    assert both == pytest.approx(0.125, abs=0.021)


def test_speed_is_log_normal_around_its_median() -> None:
    seconds = [t.compute_s for t in drawn(Conditions(compute_s=3.0, compute_spread=0.5)) if t]
    assert np.median(seconds) == pytest.approx(3.0, rel=0.05)
    assert np.std(np.log(seconds)) == pytest.approx(0.5, rel=0.05)


def test_a_trace_says_it_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("present,arrives_s,lost_at\n1,2.5,agree\n0,,\n,,\n")
    trace = read_trace(path)
    assert trace == (Traits(arrives_s=2.5, lost_at="agree"), None, Traits())
    assert Conditions(trace=trace).traits(0, 4, 9) is None
    for broken in ("", "present\n", "speed\n1\n", "arrives_s\n-1\n", "lost_at\nnowhere\n"):
        path.write_text(broken)
        with pytest.raises(ConfigError, match=r"trace\.csv"):
            read_trace(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "missing.csv")


def test_values_out_of_range_are_refused() -> None:
    for wrong in (
        lambda: Conditions(present=0.0),
        lambda: Conditions(diurnal=1.5),
        lambda: Conditions(arrival_s=-1.0),
        lambda: Conditions(straggler_factor=0.5),
        lambda: Losses(agree=0.6, shares=0.6),
        lambda: Losses(agree=-0.1),
        lambda: Traits(arrives_s=-1.0),
        lambda: Traits(lost_at="somewhere"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError):
            wrong()
