"""The result is made of what both sides counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskPhase, TaskStatus
from dreamshare_cli.demo.collect import client_result, demo_result, gallery_of
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.reports import DeviceReport


def report(sums: int = 43, cycles: int = 2) -> DeviceReport:
    curve = tuple(50.0 + 10 * c for c in range(cycles + 1))
    return DeviceReport(
        id="ab" * 16,
        architecture="VGG-like",
        runtime="torch",
        examples=300,
        tested=500,
        parameters=17,
        curve=curve,
        independent_curve=tuple(c - 5 for c in curve),
        balanced_curve=tuple(c - 2 for c in curve),
        sums=sums,
        bytes_up=100,
        bytes_down=200,
        over="done",
    )


def status(aggregations: int = 43, *, secure: bool = True) -> TaskStatus:
    return TaskStatus(
        task=TaskId(bytes(16)),
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


def test_a_device_tells_where_it_began_and_where_it_ended() -> None:
    client = client_result("device-1", report(), alive=True)
    assert (client.before, client.independent, client.balanced, client.codream) == (50, 65, 68, 70)


def test_a_killed_device_is_compared_with_nothing() -> None:
    client = client_result("device-4", report(cycles=1), alive=False)
    assert (client.before, client.independent, client.balanced, client.codream) == (
        50, None, None, 60,
    )  # fmt: skip


def test_a_device_that_never_learnt_has_no_figures() -> None:
    client = client_result("device-4", DeviceReport(), alive=False)
    assert (client.before, client.codream, client.curve) == (None, None, ())


def test_counts_come_from_the_aggregator_and_are_confirmed_by_the_survivors(tmp_path: Path) -> None:
    options = DemoOptions(tmp_path / "out", cycles=2)
    clients = [client_result(f"device-{n}", report(), alive=True) for n in (1, 2, 3)]
    clients.append(client_result("device-4", report(sums=20, cycles=1), alive=False))
    result = demo_result(options, status(), clients, 12.5)
    assert (result.rounds, result.aggregations, result.abandoned, result.dropped) == (2, 43, 1, 1)
    assert result.secure_aggregation
    assert not demo_result(options, status(secure=False), clients, 1.0).secure_aggregation
    # An aggregator that claims one sum more than the devices saw is not believed.
    assert not demo_result(options, status(44), clients, 1.0).secure_aggregation


def test_a_survivor_that_missed_a_cycle_is_no_result(tmp_path: Path) -> None:
    options = DemoOptions(tmp_path / "out", cycles=2)
    late = [client_result("device-1", report(cycles=1), alive=True)]
    with pytest.raises(ConfigError, match="device-1 reported 1 of 2 cycles"):
        demo_result(options, status(), late, 1.0)


def test_dreams_get_the_digit_and_the_cycle_that_they_were_made_in() -> None:
    config = CodreamConfig(shape=(1, 1, 1), classes=10, cycles=3, dreams=4, replay=6)
    # Nobody has the digit 1, so that four dreams are made for 0, 2, 3 and again 0.
    totals = np.array([5.0, 0, 5, 5, 0, 0, 0, 0, 0, 0])
    kept = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1)
    gallery = gallery_of(config, {"dreams": kept, "totals": totals})
    # Six of twelve are kept: the last two of cycle 2 and the four of cycle 3.
    assert gallery.cycles_N.tolist() == [2, 2, 3, 3, 3, 3]
    assert gallery.labels_N.tolist() == [3, 0, 0, 2, 3, 0]
