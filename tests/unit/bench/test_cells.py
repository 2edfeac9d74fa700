"""A recipe's cells: values with keys and fingerprints, configs filled by the names of fields."""

from __future__ import annotations

import dataclasses

import pytest

from dreamshare.algorithms.fedavg import FedAvgConfig, layout_of
from dreamshare.errors import ConfigError
from dreamshare_cli.bench import checking
from dreamshare_cli.bench.cells import Cell, cells_of, chosen
from dreamshare_cli.bench.checking import check_cells
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.filling import config_of, schedule_of, starts_equal
from dreamshare_cli.bench.recipe import DataPlan
from dreamshare_cli.bench.work import learners_of
from tests.unit.bench.recipes import tiny


def test_every_row_partition_and_seed_is_a_cell_with_a_key() -> None:
    assert [cell.key for cell in cells_of(tiny())] == [
        "alpha-0.5--independent--seed-0",
        "alpha-0.5--fedavg--seed-0",
        "alpha-0.5--independent--seed-3",
        "alpha-0.5--fedavg--seed-3",
    ]


def test_a_cell_travels_as_json() -> None:
    for cell in cells_of(tiny(("[schedule]", "[student]\nsteps = 3\n[schedule]"))):
        assert Cell.from_json(cell.to_json()) == cell
    with pytest.raises(ConfigError, match="one JSON object"):
        Cell.from_json("{")


def test_a_fingerprint_is_of_what_is_computed() -> None:
    def fingerprints(*changes: tuple[str, str]) -> list[str]:
        return [cell.fingerprint for cell in cells_of(tiny(*changes))]

    before = fingerprints()
    assert len(set(before)) == 4
    assert fingerprints(("Two methods", "2 methods"), ('label = "FedAvg"', 'label = "x"')) == before
    after = fingerprints(("[algorithm.config]\nfit_steps = 2", "[algorithm.config]\nfit_steps = 3"))
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True, False]


def test_cells_are_chosen_by_words_of_their_keys() -> None:
    cells = cells_of(tiny())
    assert [cell.key for cell in chosen(cells, ["FedAvg", "seed-3"])] == [
        "alpha-0.5--fedavg--seed-3"
    ]
    assert chosen(cells, []) == cells
    with pytest.raises(ConfigError, match="no cell is called like nothing"):
        chosen(cells, ["nothing"])


def test_devices_take_architectures_in_turn_unless_an_algorithm_has_its_own() -> None:
    alone, fedavg, *_ = cells_of(tiny())
    assert alone.architectures == ("VGG-like", "MobileNet-like", "VGG-like")
    assert fedavg.architectures == ("VGG-like",) * 3
    assert starts_equal(fedavg)
    assert not starts_equal(alone)


def test_a_config_is_filled_by_the_names_of_its_fields() -> None:
    cell = cells_of(tiny())[1]
    pool = load_pool(cell.data)
    first, second, _ = learners_of(cell, pool)
    config = config_of(cell, pool, None, first)
    assert isinstance(config, FedAvgConfig)
    assert (config.rounds, config.fit_steps, config.classes) == (2, 2, 10)
    assert config.layout == layout_of(first.parameters())
    ours, theirs = first.parameters(), second.parameters()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_schedule_is_codreams_local_one() -> None:
    cell = cells_of(tiny())[0]
    schedule = schedule_of(cell, load_pool(cell.data))
    assert (schedule.cycles, schedule.warm_up_epochs, schedule.shape) == (2, 1, (1, 8, 8))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[algorithm.config]\nfit_steps", "[algorithm.config]\nfit_step", "FedAvg: .*'fit_step'"),
        ("warm_up_epochs = 1", "warmup = 1", r"\[schedule\]: .*unknown field 'warmup'"),
        ('"fedavg/1"', '"fedavg/9"', "fedavg/9"),
        ('"fedavg/1"', '"consensus/1"', "consensus/1 needs a public set; set data.public"),
        ('["VGG-like", "Mob', '["VGG-lik", "Mob', "architecture 'VGG-lik': one of"),
        ('["VGG-like", "Mob', '["Dilated-like", "Mob', "does not take inputs of shape"),
        ("samples = 30", "samples = 3000", "9000 training examples are wanted"),
        ("count = 3", 'count = 3\nruntime = "onnx"', None),
    ],
)
def test_what_does_not_fit_is_found_before_anything_runs(
    old: str, new: str, said: str | None
) -> None:
    cells = cells_of(tiny((old, new)))
    if said is None:
        check_cells(cells[:1])
        return
    with pytest.raises(ConfigError, match=said):
        check_cells(cells)


def test_data_are_loaded_once_for_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[DataPlan] = []

    def load(plan: DataPlan) -> Pool:
        loaded.append(plan)
        return load_pool(plan)

    monkeypatch.setattr(checking, "load_pool", load)
    check_cells(cells_of(tiny()))
    assert len(loaded) == 1


def test_a_cell_runs_one_thing() -> None:
    cell = cells_of(tiny())[0]
    with pytest.raises(ConfigError, match="either an algorithm or a baseline"):
        dataclasses.replace(cell, baseline=None)
