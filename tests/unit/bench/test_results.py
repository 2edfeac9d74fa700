"""Results as a file, as Markdown and as pictures: functions of what cells wrote."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.comparing import rows_of, spread
from dreamshare_cli.bench.gallery import gallery_svg
from dreamshare_cli.bench.plots import algorithm_plots, curve_of, plots_of, stamp_of
from dreamshare_cli.bench.report import page_of, write_report
from dreamshare_cli.bench.results import Results, collect, read_results, write_results
from dreamshare_cli.bench.rows import End, Pictures, Record, Round, Start
from dreamshare_cli.bench.tables import page
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


def test_the_table_has_mean_spread_and_paired_gains(results: Results) -> None:
    """Devices of independent: 20 and 40 %, then 40 and 60: means 30 and 50, 40 +- 20/sqrt(2).

    FedAvg: 70 and 80: 75 +- 10/sqrt(2); its gains are 40 and 30, whose spread is as small.
    """
    lines = page([results]).splitlines()
    alone = next(line for line in lines if line.startswith("| independent"))
    assert alone == "| independent | 40.0 ± 14.1 | 10.0 |  |  | 2 | 3 |  |  |  | 2.00 |"
    fedavg = next(line for line in lines if line.startswith("| FedAvg"))
    assert fedavg == (
        "| FedAvg | 75.0 ± 7.1 | 10.0 | +35.0 ± 7.1 | 40.0 ± 0.0 "
        "| 2 | 3 | 2.00 | 6.00 | 6.00 | 2.00 |"
    )
    assert "| method | devices | between devices | over independent | student |" in page([results])
    took = "Seeds 0, 3. Cells took 4 minutes one after the other, 3 minutes of them computing, on "
    assert any(line.startswith(took) for line in lines)
    assert "All devices of one architecture: FedAvg (VGG-like)." in lines
    assert "| `fedavg/1` | [tiny, alpha 0.5](#tiny-alpha-05) |  |" in lines
    assert RECIPE.text.strip() in page([results])


def test_a_gain_is_over_the_seeds_that_both_have(results: Results) -> None:
    alone, fedavg = rows_of(results, "alpha 0.5")
    assert fedavg.over(replace(alone, cells=alone.cells[1:])) == pytest.approx((30.0,))
    assert spread(fedavg.over(alone), sign=True) == "+35.0 ± 7.1"
    assert (spread(()), spread((1.25,))) == ("", "1.2")


def test_what_is_missing_is_said() -> None:
    some = collect(RECIPE, CELLS, [(CELLS[0], record(CELLS[0], 0.5))])
    assert some.missing == tuple(cell.key for cell in CELLS[1:])
    assert "Not run, or failed: alpha-0.5--fedavg--seed-0" in page([some])
    many = replace(some, missing=tuple(f"cell-{number}" for number in range(20)))
    assert "cell-11 and 8 more." in page([many])
    assert "No recipe has been run yet" in page([])


def test_what_a_run_said_of_itself_has_a_column(results: Results) -> None:
    assert "gain, by the run |" not in page([results])
    first, *rest = results.cells
    said = replace(first, end=replace(first.end, metrics={"gain": -0.031}))
    shown = page([replace(results, cells=(said, *rest))])
    assert "gain, by the run |" in shown and "| -3.1 |" in shown


def test_domains_get_columns_of_their_own(results: Results) -> None:
    end = replace(results.cells[0].end, own=(0.5, 0.7), others=(0.1, 0.3))
    found = page([replace(results, cells=(replace(results.cells[0], end=end),))])
    assert "| devices, all domains | own domain | other domains |" in found
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
    names = [
        "fedavg.svg",
        "tiny-alpha-0.5-rounds.svg",
        "tiny-alpha-0.5-bytes.svg",
        "tiny-gallery.svg",
    ]
    assert [each.name for each in written.pictures] == names
    assert all(stamp_of(results) in each.read_text() for each in written.pictures)
    assert all(len(each.read_bytes()) < 40_000 for each in written.pictures)
    text = written.page.read_text()
    assert text == page_of([path], "results")
    assert all(f"(results/{name})" in text for name in names)
    drawn = {each.name: each.read_bytes() for each in written.pictures}
    assert drawn == plots_of(results) | algorithm_plots([results])


def test_an_algorithm_has_a_picture_of_every_recipe_that_it_is_in(results: Results) -> None:
    other = replace(results, recipe=replace(results.recipe, name="other"), cells=results.cells[:1])
    assert algorithm_plots([other]) == {}  # a baseline alone
    drawn = algorithm_plots([results, other, results])["fedavg.svg"].decode()
    assert drawn.count(stamp_of(results)) == 2
    assert stamp_of(other) not in drawn
    assert drawn.count(">tiny, alpha 0.5<") == 2
    assert drawn.count(">its student<") == 2


def test_pictures_are_well_formed_and_series_are_lines(results: Results) -> None:
    pixels = base64.b64encode(bytes(range(8))).decode()
    series = replace(results.cells[1].end, pictures=Pictures((2, 1, 1, 4), (0, 3), pixels))
    cells = (replace(results.cells[1], row="a & <b>", end=series), *results.cells[2:])
    drawn = gallery_svg(replace(results, cells=cells), "which")
    root = ElementTree.fromstring(drawn)
    assert len(root.findall("{*}polyline")) == 2
    assert [each.text for each in root.findall("{*}text")] == ["a & <b>", "alpha 0.5"]
    for name, svg in plots_of(results).items():
        assert ElementTree.fromstring(svg).tag.endswith("svg"), name
    assert b"Date" not in plots_of(results)["tiny-alpha-0.5-rounds.svg"]
