"""The result is made of what both sides counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskPhase, TaskStatus
from dreamshare_cli.demo.collect import Ended, client_result, demo_result, gallery_of
from dreamshare_cli.demo.methods import codream, moments
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.reports import DeviceReport
from dreamshare_cli.demo.result import ClientResult, Part

TASK = TaskId(bytes(range(16)))
METHOD = codream(CodreamConfig(shape=(1, 1, 1), classes=10, cycles=2, dreams=4))


def report(sums: int = 43, cycles: int = 2) -> DeviceReport:
    curve = tuple(50.0 + 10 * c for c in range(cycles + 1))
    return DeviceReport(
        id="ab" * 16,
        architecture="VGG-like",
        runtime="torch",
        examples=300,
        tested=500,
        parameters=17,
        independent_curve=tuple(c - 5 for c in curve),
        balanced_curve=tuple(c - 2 for c in curve),
        parts={TASK.hex(): Part(curve, 100, 200, sums, "done")},
    )


def ended(aggregations: int = 43, *, secure: bool = True) -> list[Ended]:
    status = TaskStatus(
        task=TASK,
        name="demo",
        algorithm="codream/1",
        phase=TaskPhase.DONE,
        detail="",
        cycle=1,
        aggregations=aggregations,
        abandoned=1,
        roster=4,
        alive=3,
        dropped=1,
        submitted=0.0,
        secure_aggregation=secure,
    )
    return [Ended(METHOD, status, 7.5)]


def client(name: str, told: DeviceReport, *, alive: bool) -> ClientResult:
    return client_result(name, told, ended(), alive=alive)


def reached(client: ClientResult) -> tuple[float | None, ...]:
    start = client.part("codream").curve[:1]
    return (*start, client.independent, client.balanced, client.reached("codream"))


def test_a_device_tells_where_it_began_and_where_it_ended() -> None:
    assert reached(client("device-1", report(), alive=True)) == (50, 65, 68, 70)


def test_a_killed_device_is_compared_with_nothing() -> None:
    assert reached(client("device-4", report(cycles=1), alive=False)) == (50, None, None, 60)


def test_a_device_that_never_learnt_has_no_figures() -> None:
    dead = client("device-4", DeviceReport(), alive=False)
    assert (dead.parts, dead.best) == ({}, None)


def test_counts_come_from_the_aggregator_and_are_confirmed_by_the_survivors(tmp_path: Path) -> None:
    options = DemoOptions(tmp_path / "out", cycles=2)
    clients = [client(f"device-{n}", report(), alive=True) for n in (1, 2, 3)]
    clients.append(client("device-4", report(sums=20, cycles=1), alive=False))
    result = demo_result(options, ended(), clients, 12.5)
    (run,) = result.runs
    assert (run.rounds, run.aggregations, run.abandoned, run.dropped) == (2, 43, 1, 1)
    assert (run.seconds, run.lessons) == (7.5, (0, 1, 2))
    assert result.secure_aggregation
    assert not demo_result(options, ended(secure=False), clients, 1.0).secure_aggregation
    # An aggregator that claims one sum more than the devices saw is not believed.
    assert not demo_result(options, ended(44), clients, 1.0).secure_aggregation


def test_a_survivor_that_missed_a_cycle_is_no_result(tmp_path: Path) -> None:
    options = DemoOptions(tmp_path / "out", cycles=2)
    late = [client("device-1", report(cycles=1), alive=True)]
    with pytest.raises(ConfigError, match="device-1 reported 1 of 2 rounds of codream"):
        demo_result(options, ended(), late, 1.0)


def test_dreams_get_the_digit_and_the_cycle_that_they_were_made_in() -> None:
    method = codream(CodreamConfig(shape=(1, 1, 1), classes=10, cycles=3, dreams=4, replay=6))
    # Nobody has the digit 1, so that four dreams are made for 0, 2, 3 and again 0.
    totals = np.array([5.0, 0, 5, 5, 0, 0, 0, 0, 0, 0])
    kept = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1)
    gallery = gallery_of(method, {"dreams": kept, "totals": totals})
    # Six of twelve are kept: the last two of cycle 2 and the four of cycle 3.
    assert gallery.cycles_N.tolist() == [2, 2, 3, 3, 3, 3]
    assert gallery.labels_N.tolist() == [3, 0, 0, 2, 3, 0]


def test_what_was_drawn_at_once_fills_rows_by_its_place_in_its_class() -> None:
    method = moments(MomentsConfig(shape=(1, 1, 1), classes=3), cycles=1)
    images = np.zeros((5, 1, 1, 1), np.uint8)
    gallery = gallery_of(method, {"images": images, "labels": np.array([0, 2, 0, 2, 0])})
    assert gallery.cycles_N.tolist() == [1, 1, 2, 2, 3]


def test_a_result_without_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match="the result of codream holds no pictures"):
        gallery_of(METHOD, {})
