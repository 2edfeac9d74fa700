"""Results as a file, as Markdown and as pictures: functions of what cells wrote."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.plots import curve_of, plots_of
from dreamshare_cli.bench.report import page_of, write_report
from dreamshare_cli.bench.results import Results, collect, read_results, write_results
from dreamshare_cli.bench.rows import End, Pictures, Record, Round, Start
from dreamshare_cli.bench.tables import page, rows_of
from tests.unit.bench.recipes import tiny

RECIPE = tiny()
CELLS = cells_of(RECIPE)
PICTURES = Pictures((2, 1, 2, 2), (0, 3), base64.b64encode(bytes(range(8))).decode())


def record(cell: Cell, reached: float) -> Record:
    """Return what a cell might have written."""
    sends = cell.algorithm is not None
    rounds = tuple(
        Round(
            number,
            (reached, reached + 0.1),
            0.5 if sends else None,
            (1_000_000 * number,) * 2 if sends else (),
            (3_000_000 * number,) * 2 if sends else (),
            (2_000,) * 2 if sends else (),
            (4_000,) * 2 if sends else (),
            (1.5, 2.5),
        )
        for number in (1, 2, 2)
    )
    end = End(
        (reached, reached + 0.2), 0.4 if sends else None, (), (), (10, 20), (5, 6), 3, 60.0, 50.0
    )
    start = Start(cell.key, cell.fingerprint, {"numpy": "2.0"})
    return Record(start, rounds, replace(end, pictures=PICTURES if sends else None))


@pytest.fixture
def results() -> Results:
    reached = (0.2, 0.6, 0.4, 0.7)
    records = [(cell, record(cell, r)) for cell, r in zip(CELLS, reached, strict=True)]
    return collect(RECIPE, CELLS, records)


def test_a_file_is_read_as_it_was_written(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    write_results(results, path)
    assert read_results(path) == results
    assert results.recipe.text == RECIPE.text
    assert results.recipe.sha256 == RECIPE.sha256
    assert results.seconds == 240.0
    assert [len(cell.rounds) for cell in results.cells] == [2] * 4  # of one round, the last line
    pictured = [cell.seed for cell in results.cells if cell.end.pictures]
    assert pictured == [0]
    path.write_text(path.read_text().replace('"seeds"', '"seed"'))
    with pytest.raises(ConfigError, match=r"tiny\.json: .*'seed'"):
        read_results(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="holds no results"):
        read_results(path)


def test_the_table_has_mean_and_spread_over_seeds(results: Results) -> None:
    """Devices of independent: 20 and 40 %, then 40 and 60; means 30 and 50, so 40 +- 10."""
    lines = page([results]).splitlines()
    alone = next(line for line in lines if line.startswith("| independent"))
    assert alone == "| independent | 40.0 ± 10.0 | 10.0 |  | 2 |  |  |  | 2.00 |"
    fedavg = next(line for line in lines if line.startswith("| FedAvg"))
    assert fedavg == "| FedAvg | 75.0 ± 5.0 | 10.0 | 40.0 ± 0.0 | 2 | 2.00 | 6.00 | 6.00 | 2.00 |"
    assert any("seeds 0, 3, 4 minutes of cells" in line for line in lines)


def test_what_is_missing_is_said() -> None:
    some = collect(RECIPE, CELLS, [(CELLS[0], record(CELLS[0], 0.5))])
    assert some.missing == tuple(cell.key for cell in CELLS[1:])
    assert "Not run, or failed: alpha-0.5--fedavg--seed-0" in page([some])
    assert "No recipe has been run yet" in page([])


def test_domains_get_columns_of_their_own(results: Results) -> None:
    end = replace(results.cells[0].end, own=(0.5, 0.7), others=(0.1, 0.3))
    found = page([replace(results, cells=(replace(results.cells[0], end=end),))])
    assert "| own domain | other domains |" in found
    assert "| 30.0 | 60.0 | 20.0 | 10.0 |" in found


def test_curves_are_means_over_seeds(results: Results) -> None:
    alone, fedavg = rows_of(results, "alpha 0.5")
    curve = curve_of(fedavg, "bytes")
    assert curve is not None
    assert curve.x == pytest.approx((4.0, 8.0))
    assert curve.mean == pytest.approx((70.0, 70.0))
    assert curve.low == pytest.approx((65.0, 65.0))
    assert curve_of(alone, "bytes") is None
    assert curve_of(alone, "rounds") is not None


def test_a_report_is_a_page_with_its_pictures(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    write_results(results, path)
    written = write_report([path], tmp_path / "results.md")
    names = ["tiny-alpha-0.5-rounds.png", "tiny-alpha-0.5-bytes.png", "tiny-gallery.png"]
    assert [each.name for each in written.pictures] == names
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in written.pictures)
    text = written.page.read_text()
    assert text == page_of([path], "results")
    assert all(f"(results/{name})" in text for name in names)
    assert plots_of(results).keys() == set(names)
