"""`dreamshare plan` with unit costs that a head can multiply."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.command import execute
from dreamshare_cli.planning.model import Fleet, plan_for
from dreamshare_cli.planning.units import Units

FREE = Units(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
VECTORS = replace(FREE, vector_byte_s=1e-8)


def test_a_million_devices_by_hand() -> None:
    """128 sums of 16 bits take 23 bits: two lanes a word, four bytes a coordinate."""
    fleet = Fleet(1_000_000, 786_432, dropout=0.1, seconds=60.0)
    plan = plan_for(fleet, VECTORS)
    assert (plan.cohorts, plan.cohort, plan.neighbours) == (7813, 128, 127)
    assert plan.vector_bytes == 8 * (786_432 // 2 + 1)
    whole_s = 900_000 * plan.vector_bytes * 1e-8
    assert plan.shards == -int(-whole_s // 60)
    assert plan.shard_s == pytest.approx(whole_s / plan.shards)
    assert plan.bytes_in == pytest.approx(900_000 * (plan.vector_bytes + 1400))
    assert plan.seconds >= plan.device_upload_s == plan.vector_bytes / 1e6


def test_four_shards_take_a_quarter_of_the_vectors_each() -> None:
    one, four = (plan_for(Fleet(48, 100_000, shards=n), VECTORS) for n in (1, 4))
    assert one.shard_s == pytest.approx(4 * four.shard_s)
    assert one.root_s == four.root_s == 0.0


def test_a_root_hears_and_handles_three_messages_of_a_device() -> None:
    """Receipt, agreement, answer: each as much again in its step and its records as to come in."""
    units = replace(FREE, message_s=1e-3)
    assert plan_for(Fleet(48, 1_000, shards=4), units).root_s == pytest.approx(48 * 3 * 2e-3)
    alone = plan_for(Fleet(48, 1_000), units)
    assert alone.root_s == pytest.approx(48 * (2 * 1e-3 + 3 * 1e-3))  # two come in beside vectors


def test_masks_of_the_vanished_are_taken_away_edge_by_edge() -> None:
    units = replace(FREE, mask_byte_s=1e-9)
    whole = plan_for(Fleet(100, 1_000), units)
    some = plan_for(Fleet(100, 1_000, dropout=0.1), units)
    assert whole.root_s == pytest.approx(100 * whole.vector_bytes * 1e-9)
    assert some.root_s == pytest.approx((90 + 10 * 99) * whole.vector_bytes * 1e-9)


def test_a_small_fleet_needs_no_shard() -> None:
    plan = plan_for(Fleet(100, 1_000), VECTORS)
    assert (plan.shards, plan.roots, plan.cores) == (0, 1, 1)


@pytest.mark.parametrize(
    ("fleet", "tight"),
    [
        (Fleet(100, 100_000, uplink=1e3), "devices' uplinks"),
        (Fleet(100, 100_000, network=1e3), "network"),
        (Fleet(100, 100_000, shards=1, uplink=1e12, network=1e12), "shards' processors"),
    ],
)
def test_what_is_tight_is_named(fleet: Fleet, tight: str) -> None:
    assert plan_for(fleet, VECTORS).bottleneck == tight


def test_what_cannot_be_had_is_refused() -> None:
    for wrong in ({"devices": 2}, {"dim": 0}, {"dropout": 1.0}, {"cohort": 2}, {"seconds": 0.0}):
        with pytest.raises(ConfigError, match="plan:"):
            Fleet(**{"devices": 100, "dim": 10, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="bits"):
        plan_for(Fleet(100, 10, bits=40), FREE)


def test_the_command_prints_what_it_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = tmp_path / "units.json"
    VECTORS.save(units)
    words = ["plan", "--devices", "1e6", "--dim", "786432", "--dropout", "0.1"]
    assert execute([*words, "--units", str(units), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["cohorts"] == 7813
    assert found["units"]["vector_byte_s"] == 1e-8
    assert execute([*words, "--units", str(units)]) == 0
    assert "7,813" in capsys.readouterr().out


def test_a_file_that_holds_no_units_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "units.json").write_text('{"vector_s": -1}')
    with pytest.raises(ConfigError, match="--calibrate"):
        Units.load(tmp_path / "units.json")
