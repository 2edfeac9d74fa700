"""One cell end to end: lines, bytes, seconds, students, domains; the same again for a seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.rows import End, Line, Round, Start, finished, from_line, to_line
from dreamshare_cli.bench.work import run_cell, write_cell
from tests.unit.bench.recipes import tiny

CODREAM = (
    """
[student]
steps = 3

[schedule]
""",
    """
name = "codream/1"
label = "CoDream"
[algorithm.config]
warm_up_epochs = 1
dreams = 10
dream_steps = 2
fit_steps = 2
""",
)


def lines(cell: Cell) -> list[Line]:
    found: list[Line] = []
    run_cell(cell, found.append)
    return found


def codream(*changes: tuple[str, str]) -> Cell:
    """Return a cell of CoDream."""
    old = 'name = "fedavg/1"\nlabel = "FedAvg"\narchitectures = ["VGG-like"]\n'
    config = "[algorithm.config]\nfit_steps = 2\n"
    return cells_of(tiny((old + config, CODREAM[1]), ("[schedule]\n", CODREAM[0]), *changes))[1]


def timeless(found: list[Line]) -> list[Line]:
    """Return lines without what depends on how busy a machine is."""
    still: list[Line] = []
    for line in found:
        if isinstance(line, Round):
            line = replace(line, compute_s=())
        if isinstance(line, End):
            line = replace(line, seconds=0.0, cpu_s=0.0)
        still.append(line)
    return still


def test_a_baseline_tells_what_it_reaches_and_sends_nothing() -> None:
    start, *rounds, end = lines(cells_of(tiny())[0])
    assert isinstance(start, Start)
    assert isinstance(end, End)
    assert [line.round for line in rounds if isinstance(line, Round)] == [0, 1, 2]
    assert all(isinstance(line, Round) and line.bytes_up == () for line in rounds)
    assert len(end.test) == 3
    assert end.sums == 0


def test_an_algorithm_tells_bytes_set_up_apart_and_teaches_a_student() -> None:
    _, *rounds, end = lines(codream())
    assert isinstance(end, End)
    first, last = (line for line in rounds if isinstance(line, Round))
    assert (first.round, last.round) == (1, 2)
    # one cycle: two gradients of 10 dreams of 64 pixels, one opinion of 10 x 10; 16 bits at least
    payload = 2 * 10 * 64 * 2 + 10 * 10 * 2
    grown = last.bytes_up[0] - first.bytes_up[0]
    assert payload < grown < 4 * payload
    assert first.setup_up == last.setup_up
    assert min(last.setup_up) > 1000
    assert min(last.setup_down) > 1000
    assert all(b > a > 0 for a, b in zip(first.compute_s, last.compute_s, strict=True))
    assert first.student is not None
    assert end.student is not None
    assert end.pictures is not None
    assert end.pictures.shape == (10, 1, 8, 8)
    assert end.sums == 1 + 2 * 3


@pytest.mark.parametrize("name", ["consensus/1", "fedh2l/1"])
def test_labels_of_a_public_set_teach_a_student(name: str) -> None:
    old = 'name = "fedavg/1"\nlabel = "FedAvg"\narchitectures = ["VGG-like"]\n'
    recipe = tiny(
        (old, f'name = "{name}"\n'),
        ("samples = 30", "samples = 30\npublic = 12"),
        ("[schedule]\n", CODREAM[0]),
    )
    *_, last, end = lines(cells_of(recipe)[1])
    assert isinstance(last, Round)
    assert isinstance(end, End)
    assert last.student is not None
    assert end.student is not None


def test_what_is_only_told_at_the_end_belongs_to_the_last_round() -> None:
    found = [line for line in lines(cells_of(tiny())[1]) if isinstance(line, Round)]
    assert [line.round for line in found] == [1, 2, 2]
    assert found[1].devices == found[2].devices
    assert found[2].bytes_down[0] > found[1].bytes_down[0]


def test_a_public_model_is_measured_on_the_way_without_being_kept() -> None:
    """Devices of FedAvg train on; what counts is the model that they would take over."""
    found = [line for line in lines(cells_of(tiny())[1]) if isinstance(line, Round)]
    assert all(len(set(line.devices)) == 1 for line in found)


def test_the_same_cell_gives_the_same_lines() -> None:
    cell = codream()
    assert timeless(lines(cell)) == timeless(lines(cell))


def test_domains_are_told_apart() -> None:
    skewed = 'name = "alpha 0.5"\nkind = "dirichlet"\nalpha = 0.5'
    recipe = tiny(
        (skewed, 'name = "by domain"\nkind = "domain"'),
        ('source = "digits"', 'source = "digits"\ndomains = ["plain", "rotated", "inverted"]'),
    )
    end = lines(cells_of(recipe)[0])[-1]
    assert isinstance(end, End)
    assert len(end.own) == len(end.others) == 3
    for whole, own, others in zip(end.test, end.own, end.others, strict=True):
        assert whole == pytest.approx((own + 2 * others) / 3, abs=1e-5)


def test_series_have_nets_of_their_own() -> None:
    recipe = tiny(
        ('source = "digits"', 'source = "waves"'),
        ('["VGG-like", "MobileNet-like"]', '["Temporal-like", "Dilated-like"]'),
    )
    end = lines(cells_of(recipe)[0])[-1]
    assert isinstance(end, End)
    assert end.parameters[0] == end.parameters[1] > 5_000


def test_bundles_take_part_without_torch() -> None:
    recipe = tiny(("count = 3", 'count = 3\nruntime = "onnx"'))
    end = lines(cells_of(recipe)[0])[-1]
    assert isinstance(end, End)
    assert len(end.test) == 3


def test_lines_are_read_as_they_were_written() -> None:
    for line in lines(codream()):
        assert from_line(to_line(line)) == line
    for wrong in ("{", "[]", '{"event": "other"}', '{"event": "round", "round": 1}'):
        with pytest.raises(ConfigError):
            from_line(wrong)


def test_a_cell_is_finished_when_its_last_line_is_there_and_it_is_the_same(tmp_path: Path) -> None:
    cell, other = cells_of(tiny())[0], cells_of(tiny())[2]
    path = tmp_path / "a.jsonl"
    assert finished(cell, path) is None
    write_cell(cell, path, lambda _: None)
    record = finished(cell, path)
    assert record is not None
    assert len(record.rounds) == 3
    assert finished(other, path) is None
    whole = path.read_text()
    path.write_text(whole[:-20])  # killed in the middle of a line
    assert finished(cell, path) is None
